"""CHAOS and 3D-IRCADb in miniature: DICOM images, labels of pictures or of DICOM masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cohorts import run
from support.dicom_series import write_series
from support.trees import unmatched

import gpuprep
from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config

pytestmark = pytest.mark.usefixtures("reads_here")

HEIGHTS = [0.0, 2.0, 4.0]
MASKS = (np.arange(3 * 4 * 5).reshape(3, 4, 5) % 5).astype("u1")
STORE = {"dtype": "float32", "fsync": "never"}


def series(folder: Path, **tags: object) -> None:
    """Slices at ``HEIGHTS``, called in the order from the highest to the lowest."""
    folder.mkdir(parents=True)
    write_series(folder, HEIGHTS, **tags)


def pictures(folder: Path, masks: np.ndarray, name: str) -> None:
    """A picture for each slice, called in the order of the slices' names: the highest first."""
    folder.mkdir(parents=True)
    for number, mask in enumerate(masks[::-1]):
        Image.fromarray(mask).save(folder / f"{name}{number:03d}.png")


def chaos(root: Path) -> Path:
    train = root / "Train_Sets"
    series(train / "CT/1/DICOM_anon", Modality="CT", SeriesInstanceUID="1.2.1")
    pictures(train / "CT/1/Ground", (MASKS == 1).astype("u1") * 255, "liver_GT_")
    for number, phase in enumerate(("InPhase", "OutPhase")):  # of one series, as two echoes are
        series(
            train / "MR/5/T1DUAL/DICOM_anon" / phase,
            **{"Modality": "MR", "SeriesInstanceUID": "1.2.5", "EchoTime": 2 + number},
        )
    pictures(train / "MR/5/T1DUAL/Ground", MASKS * 63, "IMG-0004-")
    series(train / "MR/5/T2SPIR/DICOM_anon", Modality="MR", SeriesInstanceUID="1.2.6")
    pictures(train / "MR/5/T2SPIR/Ground", MASKS * 63, "IMG-0002-")
    series(root / "Test_Sets/MR/7/T2SPIR/DICOM_anon", Modality="MR", SeriesInstanceUID="1.2.7")
    return root


def test_chaos_pairs_series_with_pictures(tmp_path: Path) -> None:
    found = discover(chaos(tmp_path))
    assert found.layout == "chaos"
    assert {case.id: len(case.labels) for case in found.cases} == {
        "CT_1": 1,
        "MR_5_T1DUAL_InPhase": 1,
        "MR_5_T1DUAL_OutPhase": 1,
        "MR_5_T2SPIR": 1,
        "MR_7_T2SPIR": 0,
    }
    assert found.unmatched == ()
    in_phase = found.cases[1]
    assert in_phase.attributes == {"modality": "MR", "subject": "5", "split": "train"}
    assert Path(in_phase.labels[0].sources[0].path).relative_to(tmp_path) == Path(
        "Train_Sets/MR/5/T1DUAL/Ground"
    )
    assert in_phase.labels[0].classes.names[63] == "liver"
    assert found.cases[-1].attributes["split"] == "test"


def test_chaos_places_each_picture_on_its_slice(tmp_path: Path) -> None:
    root = chaos(tmp_path / "in")
    config = parse_config({"store": STORE})
    report = run(root, tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures
    cohort = gpuprep.open(tmp_path / "out")
    for case in ("MR_5_T1DUAL_InPhase", "MR_5_T1DUAL_OutPhase", "MR_5_T2SPIR"):
        np.testing.assert_array_equal(cohort[case].labels["segmentation"], MASKS * 63)
        np.testing.assert_array_equal(np.asarray(cohort[case].image)[:, 0, 0], [0, 100, 200])
    liver = (MASKS == 1) * 63  # of CT 1, which the cohort's most cases call 63
    np.testing.assert_array_equal(cohort["CT_1"].labels["segmentation"], liver)


def test_chaos_takes_the_numbers_that_names_are_given(tmp_path: Path) -> None:
    names = {"liver": 1, "right kidney": 2, "left kidney": 3, "spleen": 4}
    config = parse_config({"store": STORE, "label": {"names": names}})
    report = run(chaos(tmp_path / "in"), tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures
    cohort = gpuprep.open(tmp_path / "out")
    np.testing.assert_array_equal(cohort["MR_5_T2SPIR"].labels["segmentation"], MASKS)
    np.testing.assert_array_equal(cohort["CT_1"].labels["segmentation"], MASKS == 1)


def test_chaos_with_a_picture_too_few_fails_that_case(tmp_path: Path) -> None:
    root = chaos(tmp_path / "in")
    (root / "Train_Sets/MR/5/T2SPIR/Ground/IMG-0002-001.png").unlink()
    report = run(root, tmp_path / "out", config=parse_config({"store": STORE}), scheduler="serial")
    (failure,) = report.failures
    assert (failure.case_id, failure.code) == ("MR_5_T2SPIR", "E_NOT_VOLUME")


def ircadb(root: Path) -> Path:
    for number, names in ((1, ("liver", "livertumor01")), (10, ("liver",)), (2, ())):
        folder = root / f"3Dircadb1.{number}"
        series(folder / "PATIENT_DICOM", SeriesInstanceUID=f"1.3.{number}")
        series(folder / "LABELLED_DICOM", SeriesInstanceUID=f"1.4.{number}")
        for place, name in enumerate(names):
            pixels = [(MASKS[slice_] == place + 1).astype("<u2") * 255 for slice_ in range(3)]
            series(
                folder / "MASKS_DICOM" / name,
                SeriesInstanceUID=f"1.5.{number}.{place}",
                PixelData=lambda slice_, pixels=pixels: pixels[slice_].tobytes(),
            )
    return root


def test_ircadb_has_a_series_for_each_structure(tmp_path: Path) -> None:
    found = discover(ircadb(tmp_path / "in"))
    assert found.layout == "ircadb"
    assert [case.id for case in found.cases] == ["3Dircadb1.1", "3Dircadb1.2", "3Dircadb1.10"]
    first, second, _ = found.cases
    assert first.labels[0].classes.names == {1: "liver", 2: "livertumor01"}
    assert second.labels == ()
    told = unmatched(found, tmp_path / "in")
    assert set(told.values()) == {"all masks in one; MASKS_DICOM is taken"}
    assert len(told) == 9


def test_ircadb_is_stored_as_its_masks_are(tmp_path: Path) -> None:
    report = run(
        ircadb(tmp_path / "in"),
        tmp_path / "out",
        config=parse_config({"store": STORE}),
        scheduler="serial",
    )
    assert report.exit_code == 0, report.failures
    case = gpuprep.open(tmp_path / "out")["3Dircadb1.1"]
    np.testing.assert_array_equal(case.labels["segmentation"], np.where(MASKS < 3, MASKS, 0))


@pytest.mark.parametrize("part", ["Train_Sets", "Train_Sets/MR", "Train_Sets/MR/5"])
def test_a_part_of_chaos_is_chaos(tmp_path: Path, part: str) -> None:
    found = discover(chaos(tmp_path) / part)
    if part.endswith("5"):  # whose name says no more than a number
        assert found.layout == "dicom"
        return
    assert found.layout == "chaos"
    told = {case.id: (len(case.labels), case.attributes["modality"]) for case in found.cases}
    assert told["MR_5_T2SPIR"] == (1, "MR")
    assert found.unmatched == ()


def test_chaos_without_labels_keeps_its_phases_apart(tmp_path: Path) -> None:
    test = tmp_path / "CHAOS_Test_Sets/Test_Sets"
    for phase in ("InPhase", "OutPhase"):
        series(test / "MR/7/T1DUAL/DICOM_anon" / phase, Modality="MR", SeriesInstanceUID="1.2.7")
    (test / "MR/7/T1DUAL/Ground").mkdir()
    found = discover(tmp_path)
    assert found.layout == "chaos"
    assert [case.id for case in found.cases] == ["MR_7_T1DUAL_InPhase", "MR_7_T1DUAL_OutPhase"]
    assert [len(case.files) for case in found.cases] == [3, 3]
    assert {case.attributes["split"] for case in found.cases} == {"test"}


def test_ircadb_as_its_archives_unpack(tmp_path: Path) -> None:
    inner = tmp_path / "3Dircadb1" / "3Dircadb1.1" / "3Dircadb1.1"
    series(inner / "PATIENT_DICOM" / "PATIENT_DICOM", SeriesInstanceUID="1.3.1")
    for number, name in enumerate(("liver", "portalvein")):
        series(inner / "MASKS_DICOM/MASKS_DICOM" / name, SeriesInstanceUID=f"1.5.{number}")
    (inner / "MESHES_VTK").mkdir()
    (inner / "MESHES_VTK/liver.vtk").touch()
    found = discover(tmp_path)
    assert found.layout == "ircadb"
    (case,) = found.cases
    assert (case.id, case.labels[0].classes.names) == (
        "3Dircadb1.1",
        {1: "liver", 2: "portalvein"},
    )
    assert list(unmatched(found, tmp_path).values()) == ["not an image file"]


def test_a_folder_of_two_series_is_no_image_and_told(tmp_path: Path) -> None:
    root = ircadb(tmp_path / "in")
    extra = root / "3Dircadb1.1/PATIENT_DICOM"
    for file in list((root / "3Dircadb1.2/PATIENT_DICOM").iterdir()):
        file.rename(extra / f"other_{file.name}")
    found = discover(root)
    assert [case.id for case in found.cases] == ["3Dircadb1.10"]
    told = {reason for file, reason in unmatched(found, root).items() if "PATIENT" in file}
    assert told == {
        "folder that holds 2 DICOM series where one is looked for; list the case in a manifest"
    }


@pytest.mark.parametrize("drawn", ["u1", "bool"])
def test_the_liver_of_ct_is_where_a_mask_is_not_0(tmp_path: Path, drawn: str) -> None:
    """Copies hold 255 in 8 bits, or 1 in one."""
    folder = tmp_path / "in/CT/1"
    series(folder / "DICOM_anon", Modality="CT", SeriesInstanceUID="1.2.1")
    masks = (MASKS == 1) if drawn == "bool" else (MASKS == 1).astype("u1") * 255
    pictures(folder / "Ground", masks, "liver_GT_")
    config = parse_config({"store": STORE})
    report = run(tmp_path / "in", tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures
    cohort = gpuprep.open(tmp_path / "out")
    assert cohort.agreement.labels["segmentation"].names == {1: "liver"}
    np.testing.assert_array_equal(cohort["CT_1"].labels["segmentation"], MASKS == 1)
