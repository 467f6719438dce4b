"""Inputs that come one after the other into one output: what they have in common holds, or is refused."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.ledger.state import read_state
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])
CT = np.random.default_rng(0).integers(-900, 900, (12, 13, 14)).astype(np.int16)
CONFIG = {"store": {"dtype": "int16", "fsync": "never"}, "label": {"interpolation": "nearest"}}


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, LPS, dtype=array.dtype), path)


def structured(folder: Path, case: str, *names: str) -> None:
    save(folder / case / "ct.nii.gz", CT)
    for number, name in enumerate(names):
        mask = np.zeros(CT.shape, np.uint8)
        mask[2 * number + 1, number] = 1
        save(folder / case / "segmentations" / f"{name}.nii.gz", mask)


def described(folder: Path, case: str, labels: dict[str, object], label: np.ndarray) -> None:
    save(folder / f"imagesTr/{case}_0000.nii.gz", CT)
    save(folder / f"labelsTr/{case}.nii.gz", label)
    fields = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(fields))


def sequences(folder: Path, case: str, *words: str) -> None:
    for number, word in enumerate(words):
        save(folder / case / f"{case}_{word}.nii.gz", CT + np.int16(number))


def run(source: Path, output: Path, config=CONFIG, **options):
    return gpuprep.run(source, output, config=parse_config(config), scheduler="serial", **options)


def test_structures_keep_their_numbers_as_inputs_are_added(tmp_path: Path) -> None:
    structured(tmp_path / "one", "a", "liver", "spleen")
    structured(tmp_path / "two", "b", "aorta", "spleen")
    out = tmp_path / "out"
    assert run(tmp_path / "one", out).exit_code == 0
    assert run(tmp_path / "two", out).exit_code == 0
    cohort = gpuprep.open(out)
    names = {1: "liver", 2: "spleen", 3: "aorta"}
    assert cohort.agreement.labels["segmentation"].names == names
    for case in cohort.values():
        counted = case.record["labels"]["segmentation"]
        assert {names[int(value)] for value in counted if value != "0"} == set(
            case.label_names["segmentation"].values()
        )
    other = tmp_path / "other"
    assert run(tmp_path / "two", other).exit_code == 0
    assert run(tmp_path / "one", other).exit_code == 0
    assert gpuprep.open(other).agreement.labels["segmentation"].names == {
        1: "aorta",
        2: "spleen",
        3: "liver",
    }


def test_doing_some_cases_first_numbers_as_doing_all(tmp_path: Path) -> None:
    structured(tmp_path / "in", "a", "liver")
    structured(tmp_path / "in", "b", "aorta", "liver")
    for name, steps in {"all": [{}], "steps": [{"only": ["a"]}, {}]}.items():
        for options in steps:
            assert run(tmp_path / "in", tmp_path / name, **options).exit_code == 0
    first, second = (
        [np.asarray(case.labels["segmentation"]) for case in gpuprep.open(tmp_path / name).values()]
        for name in ("all", "steps")
    )
    np.testing.assert_array_equal(first, second)
    assert np.unique(first[0]).tolist() == [0, 2]


def test_a_second_description_is_translated_by_name(tmp_path: Path) -> None:
    label = (CT > 500).astype(np.uint8)
    described(tmp_path / "one", "a", {"background": 0, "liver": 1}, label)
    described(tmp_path / "two", "b", {"background": 0, "spleen": 1, "liver": 2}, label * 2)
    out = tmp_path / "out"
    for folder in ("one", "two"):
        assert run(tmp_path / folder, out).exit_code == 0
    cohort = gpuprep.open(out)
    np.testing.assert_array_equal(
        *(np.asarray(case.labels["segmentation"]) for case in cohort.values())
    )
    assert [item.code for item in cohort["b"].findings] == ["W_LABEL_RENUMBERED"]
    assert cohort["b"].label_names["segmentation"] == {1: "liver", 2: "spleen"}


def test_two_spellings_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    structured(tmp_path / "one", "a", "liver")
    structured(tmp_path / "two", "b", "Liver")
    out = tmp_path / "out"
    assert run(tmp_path / "one", out).exit_code == 0
    before = (out / "agreement.json").read_bytes()
    with pytest.raises(UsageError, match="'liver' and 'Liver'"):
        run(tmp_path / "two", out)
    assert (out / "agreement.json").read_bytes() == before
    assert read_state(out).state == "finished"
    assert list(gpuprep.open(out)) == ["a"]


def test_channels_are_put_in_the_order_of_the_cohort(tmp_path: Path) -> None:
    rows = [
        {"case_id": "a", "image": {"T1": "one/a/a_t1.nii.gz", "T2": "one/a/a_t2.nii.gz"}},
        {"case_id": "b", "image": {"T2": "one/b/b_t2.nii.gz", "T1": "one/b/b_t1.nii.gz"}},
        {"case_id": "c", "image": {"T2": "one/b/b_t2.nii.gz", "FLAIR": "one/b/b_t1.nii.gz"}},
        {"case_id": "d", "image": {"T1": "one/b/b_t1.nii.gz"}},
    ]
    for case in ("a", "b"):
        sequences(tmp_path / "one", case, "t1", "t2")
    (tmp_path / "cases.json").write_text(json.dumps(rows))
    report = run(tmp_path / "cases.json", tmp_path / "out")
    assert {failure.case_id: failure.code for failure in report.failures} == {
        "c": "E_CHANNELS",
        "d": "E_CHANNELS",
    }
    cohort = gpuprep.open(tmp_path / "out")
    assert cohort.agreement.channels == ("T1", "T2")
    for case in cohort.values():
        assert case.channel_names == ("T1", "T2")
        np.testing.assert_array_equal(case.image[1] - case.image[0], 1)


def test_a_case_of_another_number_of_volumes_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "in/a.nii.gz", CT)
    save(tmp_path / "in/b.nii.gz", np.stack([CT, CT], -1))
    report = run(tmp_path / "in", tmp_path / "out")
    (failure,) = report.failures
    assert (failure.case_id, failure.code) == ("b", "E_CHANNELS")
    assert (
        "2 channels (channel_0, channel_1), but the cohort has 1 channel (channel_0)"
        in failure.message
    )
    named = {**CONFIG, "input": {"channels": ["CT"]}}
    assert run(tmp_path / "in", tmp_path / "new", named, only=["a"]).exit_code == 0
    assert gpuprep.open(tmp_path / "new").agreement.channels == ("CT",)
    save(tmp_path / "later/c.nii.gz", CT)
    (failure,) = run(tmp_path / "later", tmp_path / "new").failures
    assert "has 1 channel (channel_0), but the cohort has 1 channel (CT)" in failure.message


def test_statistics_over_the_cohort_know_the_names_that_the_config_gives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"in/{name}.nii.gz", CT)
    over = {"intensity": [{"zscore": {"over": "cohort"}}]}
    named = {"store": {"dtype": "float32"}, "image": over, "input": {"channels": ["CT"]}}
    report = run(tmp_path / "in", tmp_path / "out", named)
    assert report.exit_code == 0, report.failures


def test_a_4d_file_has_the_channels_that_its_description_names(tmp_path: Path) -> None:
    save(tmp_path / "in/imagesTr/a.nii.gz", np.stack([CT, CT + 1], -1))
    fields = {"modality": {"0": "T1", "1": "T2"}, "labels": {}, "training": []}
    fields["training"] = [{"image": "./imagesTr/a.nii.gz"}]
    (tmp_path / "in/dataset.json").write_text(json.dumps(fields))
    assert run(tmp_path / "in", tmp_path / "out").exit_code == 0
    assert gpuprep.open(tmp_path / "out")["a"].channel_names == ("T1", "T2")
    fields["modality"]["2"] = "FLAIR"
    (tmp_path / "in/dataset.json").write_text(json.dumps(fields))
    (failure,) = run(tmp_path / "in", tmp_path / "new").failures
    assert (
        "said to have 3 channels (T1, T2, FLAIR), but its files hold 2 volumes" in failure.message
    )


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *[(".nii.gz", dtype) for dtype in (np.float64, np.int64, np.uint32, np.int32)],
        (".mha", np.float64),
        (".nrrd", np.int64),
    ],
)
def test_ids_are_stored_as_the_file_has_them(tmp_path: Path, suffix: str, dtype: type) -> None:
    top = 3_800_000_001 if dtype == np.uint32 else 614454277
    ids = np.array([0, 997, 312782546, 312782550, top])
    label = ids[np.random.default_rng(1).integers(0, 5, CT.shape)].astype(dtype)
    (tmp_path / "in").mkdir()
    for name, array in (("a_image", CT), ("a_label", label)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"in/{name}{suffix}"))
    report = run(tmp_path / "in", tmp_path / "out")
    assert report.exit_code == 0, report.failures
    case = gpuprep.open(tmp_path / "out")["a"]
    np.testing.assert_array_equal(np.asarray(case.labels["segmentation"]), label.astype(np.int64))
    told = [item.code for item in case.findings]
    assert ("W_LABEL_FLOAT" in told) == (dtype is np.float64)


def test_regions_and_the_ignore_label_reach_the_cohort(tmp_path: Path) -> None:
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    label = np.random.default_rng(0).integers(0, 4, CT.shape).astype(np.uint8)
    described(tmp_path / "in", "a", labels, label)
    fields = json.loads((tmp_path / "in/dataset.json").read_text())
    (tmp_path / "in/dataset.json").write_text(json.dumps(fields | {"regions_class_order": [1, 2]}))
    assert run(tmp_path / "in", tmp_path / "out").exit_code == 0
    classes = gpuprep.open(tmp_path / "out").agreement.labels["segmentation"]
    assert classes.regions == {"whole": (1, 2), "core": (2,)}
    assert (classes.order, classes.ignore) == ((1, 2), 3)


def test_cohorts_of_older_versions_tell_what_their_cases_agree_on(tmp_path: Path) -> None:
    structured(tmp_path / "in", "a", "liver", "spleen")
    assert run(tmp_path / "in", tmp_path / "out").exit_code == 0
    known = gpuprep.open(tmp_path / "out").agreement
    (tmp_path / "out/agreement.json").unlink()
    assert gpuprep.open(tmp_path / "out").agreement == known


def test_making_anew_forgets_only_what_is_made_anew(tmp_path: Path) -> None:
    structured(tmp_path / "one", "a", "liver")
    structured(tmp_path / "two", "b", "aorta")
    out = tmp_path / "out"
    for folder in ("one", "two"):
        assert run(tmp_path / folder, out).exit_code == 0
    assert run(tmp_path / "two", out, overwrite=True).exit_code == 0
    assert gpuprep.open(out).agreement.labels["segmentation"].names == {1: "liver", 2: "aorta"}
    structured(tmp_path / "two", "a", "skin")
    assert run(tmp_path / "two", out, overwrite=True).exit_code == 0
    assert gpuprep.open(out).agreement.labels["segmentation"].names == {1: "aorta", 2: "skin"}


def test_a_manifest_declares_channels_and_labels_as_dataset_json_does(tmp_path: Path) -> None:
    save(tmp_path / "a.nii.gz", CT)
    save(tmp_path / "seg.nii.gz", (CT > 500).astype(np.uint8) * np.uint8(255))
    manifest = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1},
        "cases": [{"case_id": "a", "image": "a.nii.gz", "label": "seg.nii.gz"}],
    }
    (tmp_path / "cases.json").write_text(json.dumps(manifest))
    (failure,) = run(tmp_path / "cases.json", tmp_path / "out").failures
    assert failure.code == "E_LABEL_UNDECLARED"
    mapped = {**CONFIG, "label": {"map": {255: 1}}}
    assert run(tmp_path / "cases.json", tmp_path / "new", mapped).exit_code == 0
    agreed = gpuprep.open(tmp_path / "new").agreement
    assert (agreed.channels, agreed.labels["segmentation"].names) == (("CT",), {1: "liver"})
