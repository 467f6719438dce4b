"""Discovery of real folders: what is paired, what is left aside, and what is said of it."""

import errno
import io
import os
from pathlib import Path

import pytest
from support.trees import images, labels, unmatched

from gpuprep.cohort.discover import discover
from gpuprep.io.dicom import header as dicom_header


def test_pyradiomics(scans: Path) -> None:
    root = scans / "pyradiomics"
    found = discover(root)
    assert found.layout == "pairs"
    assert images(found, root) == {
        "brain1": ["brain1_image.nrrd"],
        "lung1": ["lung1_image.nrrd"],
    }
    assert labels(found, root)["lung1"] == {"segmentation": ["lung1_label.nrrd"]}
    assert set(unmatched(found, root)) == {"LICENSE.txt"}


def test_stroke_is_one_case_with_three_channels(scans: Path) -> None:
    root = scans / "stroke_mr"
    found = discover(root)
    assert images(found, root) == {"stroke_mr": ["T1.nii.gz", "T2.nii.gz", "FLAIR.nii.gz"]}
    assert labels(found, root) == {"stroke_mr": {"segmentation": ["lesion.nii.gz"]}}
    assert found.unmatched == ()


def test_elastix_masks_without_their_image_are_reported(scans: Path) -> None:
    root = scans / "elastix_lung_ct_mha"
    found = discover(root)
    assert images(found, root) == {"3DCT_lung_baseline_small": ["3DCT_lung_baseline_small.mha"]}
    assert not found.cases[0].labels
    reasons = unmatched(found, root)
    assert "there is 3DCT_lung_baseline_small" in reasons["3DCT_lung_baseline_mask.mha"]
    assert "without an image" in reasons["3DCT_lung_followup_mask.mha"]
    assert "without an image" in reasons["3DCT_lung_followup_segmentation.mha"]


def test_a_mixed_folder_asks_for_a_manifest(scans: Path) -> None:
    root = scans / "totalseg"
    found = discover(root)
    assert list(images(found, root)) == [
        "example_ct",
        "example_ct_dicom",
        "example_ct_sm",
        "example_mr_sm",
    ]
    assert not any(case.labels for case in found.cases)
    reasons = unmatched(found, root)
    assert "could belong to example_ct, example_ct_sm" in reasons["example_seg.nii.gz"]
    assert "manifest" in reasons["example_seg_fast/vertebrae_T1.nii.gz"]


def test_dicom_trees(scans: Path) -> None:
    root = scans / "nasty_dicom"
    found = discover(root)
    assert found.layout == "dicom"
    ids = [case.id for case in found.cases]
    assert "d2n_failing_sliceincrement_001" in ids
    assert "ge_pad3024_ct3slice" in ids
    assert len([one for one in ids if one.startswith("ct1_6_transfer_syntaxes_")]) == 2
    reasons = unmatched(found, root)
    assert "ge_pad3024_ct3slice/liver.dcm" not in reasons
    (label,) = found.cases[ids.index("ge_pad3024_ct3slice")].labels
    assert dict(label.classes.names) == {1: "Liver"}
    assert "label map" in reasons["ge_pad3024_ct3slice/liver_seg.nrrd"]


def test_a_slice_stands_for_its_series(scans: Path) -> None:
    found = discover(scans / "ge_tilt_varspacing_ct/04.dcm")
    assert [len(case.images[0].files) for case in found.cases] == [28]


@pytest.mark.parametrize(("name", "slices"), [("02.dcm", 2), ("notes", 1)])
def test_a_file_that_cannot_be_read_is_reported_or_a_slice_by_its_name(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, slices: int
) -> None:
    for copied in ("01.dcm", name):
        (tmp_path / copied).write_bytes((scans / "ge_tilt_varspacing_ct/01.dcm").read_bytes())
    opened = dicom_header.open_plain

    def refusing(path: Path) -> io.IOBase:
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path)

    # Root may read everything, so the refusal is played.
    monkeypatch.setattr(dicom_header, "open_plain", refusing)
    found = discover(tmp_path)
    assert [len(case.images[0].files) for case in found.cases] == [slices]
    assert ("cannot be read" in unmatched(found, tmp_path).get(name, "")) == (slices == 1)
