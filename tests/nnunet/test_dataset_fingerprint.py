"""A data set's fingerprint: made from its cases in nnU-Net's order, kept, renewed, shown to have moved."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.cohorts import contents
from support.nnunet_raw import (
    ENDING,
    nnunets_fingerprint,
    read_array,
    write_case,
    write_dataset,
    write_image,
    write_raw,
)

from gpuprep.nnunet import counting
from gpuprep.nnunet.cases import raw_cases
from gpuprep.nnunet.counting import Sampling
from gpuprep.nnunet.dataset import parse_dataset, read_json
from gpuprep.nnunet.fingerprint import FingerprintStep, fingerprint_dataset
from gpuprep.nnunet.folders import Preprocessed
from gpuprep.store.stored_case import StoredCase
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import ConfigError, StoreError, UsageError

NAME = "Dataset009_Small"
NAMES = ("case_2", "case_10", "Case_1")  # neither in natural nor in nnU-Net's order
BUDGET = 9000
MOMENTS = ("mean", "std")

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(counting, "_BUDGET", BUDGET)
    return write_raw(tmp_path / "raw" / NAME, NAMES, channels=2)


def step(raw: Path, statistics: Sampling = "exact", **options: bool) -> FingerprintStep:
    folder = Preprocessed(raw.parents[1] / "preprocessed" / raw.name, raw.parent)
    return fingerprint_dataset(folder, statistics=statistics, workers=1, **options)


def theirs(raw: Path, names: tuple[str, ...] = tuple(sorted(NAMES)), channels: int = 2) -> dict:
    files = [
        (
            [raw / "imagesTr" / f"{name}_{number:04d}{ENDING}" for number in range(channels)],
            raw / "labelsTr" / f"{name}{ENDING}",
        )
        for name in names
    ]
    return nnunets_fingerprint(files, BUDGET)


def check_equal(made: FingerprintStep, wanted: dict) -> None:
    found = json.loads(made.file.read_text())
    rows = "foreground_intensity_properties_per_channel"
    assert {**found, rows: None} == {**wanted, rows: None}
    for channel, numbers in wanted[rows].items():
        for name, number in numbers.items():
            bar = pytest.approx(number, rel=1e-6) if name in MOMENTS else number
            assert found[rows][channel][name] == bar, (channel, name)


def test_sampled_statistics_are_those_of_nnunets_draws(raw: Path) -> None:
    check_equal(step(raw, "nnunet"), theirs(raw))


def test_a_case_without_foreground_leaves_the_others_and_widens_the_pool(raw: Path) -> None:
    write_image(raw / "labelsTr" / f"Case_1{ENDING}", np.zeros((11, 16, 12), np.uint8))
    check_equal(step(raw, "nnunet"), theirs(raw))


def test_exact_statistics_leave_the_ignore_label_out(raw: Path) -> None:
    made = step(raw)
    kept = []
    for name in NAMES:
        image, seg = (
            read_array(raw / "imagesTr" / f"{name}_0001{ENDING}"),
            read_array(raw / "labelsTr" / f"{name}{ENDING}"),
        )
        seg[0, 0, 0] = 0  # the labelled voxel outside the box
        kept.append(image[(seg == 1) | (seg == 2)].astype(np.float64))
    numbers = made.fingerprint.intensities["1"]
    mean = np.mean([each.mean() for each in kept])
    assert numbers["mean"] == pytest.approx(mean, rel=1e-12)
    square = np.mean([(each**2).mean() for each in kept])
    assert numbers["std"] == pytest.approx(np.sqrt(square - mean**2), rel=1e-9)
    assert numbers["max"] == max(each.max() for each in kept)


def test_another_ignore_label_counts_every_case_anew(raw: Path) -> None:
    step(raw)
    labels = {"background": 0, "organ": 1, "tumour": 2, "vessel": 3, "ignore": 4}
    write_dataset(raw, 3, channels=2, labels=labels)
    made = step(raw, clean=True)
    other = fingerprint_dataset(
        Preprocessed(raw.parents[1] / "other" / raw.name, raw.parent), workers=1
    )
    assert made.file.read_bytes() == other.file.read_bytes()


@pytest.mark.parametrize("reader", ["SimpleITKIOWithReorient", "NibabelIOWithReorient"])
def test_a_reader_that_turns_images_is_followed(raw: Path, reader: str) -> None:
    """The oracle gets files that SimpleITK turned to R, A, S; ours are sagittal ones."""
    turned = raw.parents[1] / "turned" / NAME
    for folder in ("imagesTr", "labelsTr"):
        for file in (raw / folder).iterdir():
            image = sitk.ReadImage(str(file))
            image.SetDirection((0, 0, 1, 1, 0, 0, 0, -1, 0))
            sitk.WriteImage(image, str(file))
            (turned / folder).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.DICOMOrient(image, "RAS"), str(turned / folder / file.name))
    write_dataset(raw, 3, channels=2, overwrite_image_reader_writer=reader)
    made = step(raw, "nnunet")
    assert made.fingerprint.spacings[0] != pytest.approx((1.5, 0.7, 0.6))
    check_equal(made, theirs(turned))


def test_nan_is_left_out_exactly_and_refused_where_nnunet_stops(raw: Path) -> None:
    file = raw / "imagesTr" / f"case_2_0001{ENDING}"
    voxels = read_array(file)
    voxels[4:6, 4:6] = np.nan
    write_image(file, voxels)
    assert step(raw).problems == ()
    (problem,) = step(raw, "nnunet", clean=True).problems
    assert (problem.case, problem.text[:5]) == ("case_2", "W_NAN")


def test_cases_are_in_nnunets_order_and_workers_change_nothing(raw: Path) -> None:
    one = step(raw, "nnunet")
    folder = Preprocessed(raw.parents[1] / "other" / raw.name, raw.parent)
    two = fingerprint_dataset(folder, statistics="nnunet", workers=2)
    assert two.file.read_bytes() == one.file.read_bytes()
    assert [list(shape) for shape in one.fingerprint.shapes] == theirs(raw)["shapes_after_crop"]


def test_cases_listed_in_dataset_json_keep_its_order(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCANS", str(raw / "imagesTr"))
    monkeypatch.setenv("SECRET", "hush")
    listed = {
        name: {
            "images": [f"$SCANS/{name}_{n:04d}{ENDING}" for n in range(2)],
            "label": f"labelsTr/{name}{ENDING}",
        }
        for name in NAMES
    }
    listed["gone"] = {"images": ["${SECRET}/a", "$SECRET/b"], "label": "c"}
    write_dataset(raw, 4, channels=2, dataset=listed)
    made = step(raw, "nnunet")
    (problem,) = made.problems
    assert problem.case == "gone"
    assert "hush" not in problem.text
    wanted = theirs(raw, NAMES)["shapes_after_crop"]
    assert [list(shape) for shape in made.fingerprint.shapes] == wanted


def test_a_broken_case_is_told_and_the_others_make_the_fingerprint(raw: Path) -> None:
    whole = step(raw)
    file = raw / "imagesTr" / f"case_10_0001{ENDING}"
    file.write_bytes(file.read_bytes()[:-200])
    (raw / "labelsTr" / f"case_2{ENDING}").unlink()
    made = step(raw, clean=True)
    told = {problem.case: problem.text for problem in made.problems}
    assert set(told) == {"case_10", "case_2"}
    assert "E_" in told["case_10"]
    assert "no label" in told["case_2"]
    assert made.fingerprint.shapes == whole.fingerprint.shapes[:1]


def test_nothing_that_can_be_counted_is_an_error_that_names_the_first(raw: Path) -> None:
    for file in (raw / "labelsTr").iterdir():
        file.unlink()
    with pytest.raises(UsageError, match="no case could be counted; the first: Case_1"):
        step(raw)


def test_a_fingerprint_of_nnunets_own_stays_unread(raw: Path) -> None:
    folder = Preprocessed(raw.parents[1] / "preprocessed" / raw.name, raw.parent)
    made = step(raw)
    text = made.file.read_bytes()
    for path in sorted(folder.path.rglob("*"), reverse=True):
        if path != made.file:
            path.rmdir() if path.is_dir() else path.unlink()
    kept = step(raw)
    assert kept.kept
    assert kept.file.read_bytes() == text
    assert not (folder.path / "gpuprep").exists()


def test_cases_that_were_added_alone_are_read_and_the_drift_is_shown(raw: Path) -> None:
    made = step(raw)
    before = contents(made.file.parent / "gpuprep" / "fingerprint")
    write_case(raw, "new", 7, channels=2)
    write_dataset(raw, 4, channels=2)
    kept = step(raw)
    assert kept.kept
    assert kept.fingerprint == made.fingerprint
    drift = {row.what: (row.old, row.new) for row in kept.drift}
    assert drift["cases"] == ("3", "4")
    assert drift["CT (1) mean"][0] == f"{made.fingerprint.intensities['1']['mean']:.6g}"
    assert set(kept.plan_drift) == {"ExperimentPlanner"}
    after = contents(made.file.parent / "gpuprep" / "fingerprint")
    assert before.items() < after.items()
    renewed = step(raw, clean=True)
    assert (renewed.kept, renewed.drift) == (False, ())
    assert f"{renewed.fingerprint.intensities['1']['mean']:.6g}" == drift["CT (1) mean"][1]
    assert step(raw).drift == ()


def test_a_kept_fingerprint_is_compared_as_it_was_counted(raw: Path) -> None:
    step(raw, "nnunet")
    kept = step(raw, "exact")
    assert kept.drift == ()
    assert "its statistics are nnunet" in kept.notes[0]
    made = step(raw, "exact", clean=True)
    assert made.fingerprint != kept.fingerprint
    fresh = raw.parents[1] / "fresh" / raw.name
    other = fingerprint_dataset(Preprocessed(fresh, raw.parent), workers=1)
    assert other.file.read_bytes() == made.file.read_bytes()


def test_images_of_two_axes_are_one_thick_slice(tmp_path: Path) -> None:
    raw = write_dataset(tmp_path / "raw" / NAME, 2)
    random = np.random.default_rng(3)
    for name in ("a", "b"):
        voxels, label = random.normal(9, 3, (12, 15)), random.integers(0, 3, (12, 15))
        image = raw / "imagesTr" / f"{name}_0000{ENDING}"
        write_image(image, voxels.astype(np.float32), (0.5, 0.75))
        write_image(raw / "labelsTr" / f"{name}{ENDING}", label.astype(np.uint8), (0.5, 0.75))
    made = step(raw, "nnunet")
    assert made.fingerprint.spacings == ((999 * 0.75, 0.5, 0.75),) * 2
    assert made.fingerprint.shapes == ((1, 12, 15),) * 2


def test_a_counted_case_says_that_it_has_no_arrays(raw: Path) -> None:
    cohort = step(raw).file.parent / "gpuprep" / "fingerprint"
    assert verify_cohort(cohort, full=True) == []
    with pytest.raises(StoreError, match="foreground is counted"):
        StoredCase(cohort / "cases" / "Case_1.zarr")


def test_the_raw_data_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="raw data are not there"):
        fingerprint_dataset(Preprocessed(tmp_path / NAME, tmp_path))
    with pytest.raises(ConfigError, match="not set"):
        fingerprint_dataset(Preprocessed(tmp_path / NAME))


def test_an_image_without_a_channel_number_is_told(raw: Path) -> None:
    write_image(raw / "imagesTr" / f"odd{ENDING}", np.ones((3, 4, 5), np.int16))
    (problem,) = step(raw).problems
    assert problem.case == f"imagesTr/odd{ENDING}"


def test_cases_for_testing_are_none(raw: Path) -> None:
    write_image(raw / "imagesTs" / f"held_0000{ENDING}", np.ones((3, 4, 5), np.int16))
    write_image(raw / "imagesTs" / f"held_0001{ENDING}", np.ones((3, 4, 5), np.int16))
    dataset = parse_dataset(read_json(raw / "dataset.json"), raw.name)
    assert list(raw_cases(raw, dataset).ids) == sorted(NAMES)
    assert len(step(raw).fingerprint.shapes) == len(NAMES)
