"""What a clone without its large files holds is called by its name, and costs its own case."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.dicom_series import write_series

import gpuprep
from gpuprep.cohort.discover import discover
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError, UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 123456\n"
)
KEY = "SHA256E-s123--4d7a214614ab2935c943f9e0ff69d22e.nii.gz"
ANNEX = f"/annex/objects/{KEY}\n".encode()
NO_LINKS = f"../../.git/annex/objects/aa/bb/{KEY}/{KEY}".encode()  # where the disk has none
POINTERS = {
    "lfs": (LFS, "Git LFS pointer to 123,456 bytes", "git lfs pull"),
    "annex": (ANNEX, "git-annex pointer", "git annex get"),
    "link as file": (NO_LINKS, "git-annex pointer", "git annex get"),
}


def save(path: Path, value: int = 1) -> None:
    nibabel.save(
        nibabel.Nifti1Image(np.full((6, 6, 6), value, np.uint8), np.diag([1, 1, 2, 1])), path
    )


def dangle(path: Path, root: Path) -> None:
    """A link as git-annex leaves it where contents were not fetched."""
    up = "../" * (len(path.relative_to(root).parts) - 1)
    path.symlink_to(f"{up}.git/annex/objects/aa/bb/{KEY}/{KEY}")


def refused(path: Path) -> InputError:
    for action in (peek, read):
        with pytest.raises(InputError) as error:
            action(Source(str(path)), ReadRules())
    assert error.value.code == "E_UNREADABLE"
    return error.value


@pytest.mark.parametrize("kind", POINTERS)
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.dcm", "a.mha", "a.nrrd"])
def test_a_pointer_is_called_one_and_says_what_to_do(tmp_path, kind, name):
    contents, words, command = POINTERS[kind]
    (tmp_path / name).write_bytes(contents)
    error = refused(tmp_path / name)
    assert words in error.message
    assert command in error.advice


def test_a_detached_voxel_file_may_be_a_pointer_too(tmp_path):
    head = "NDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\nElementDataFile = a.raw\n"
    (tmp_path / "a.mhd").write_text(head)
    (tmp_path / "a.raw").write_bytes(LFS)
    assert "Git LFS" in refused(tmp_path / "a.mhd").message
    (tmp_path / "a.raw").unlink()
    dangle(tmp_path / "a.raw", tmp_path)
    assert "git-annex link" in refused(tmp_path / "a.mhd").message
    image = nibabel.Nifti1Pair(np.zeros((9, 9, 9), np.uint8), np.eye(4))
    nibabel.save(image, tmp_path / "b.img")
    (tmp_path / "b.img").write_bytes(LFS)
    assert "Git LFS" in refused(tmp_path / "b.hdr").message
    (tmp_path / "b.img").unlink()
    dangle(tmp_path / "b.img", tmp_path)
    assert "git-annex link" in refused(tmp_path / "b.hdr").message


def test_a_link_of_git_annex_that_leads_nowhere(tmp_path):
    dangle(tmp_path / "a.nii.gz", tmp_path)
    error = refused(tmp_path / "a.nii.gz")
    assert "git-annex link" in error.message
    assert "git annex get a.nii.gz" in error.advice
    with pytest.raises(UsageError, match="git-annex link"):
        discover(tmp_path / "a.nii.gz")


def test_gzip_in_gzip(tmp_path):
    save(tmp_path / "a.nii.gz")
    twice = gzip.compress((tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(twice)
    error = refused(tmp_path / "b.nii.gz")
    assert "gzip inside gzip" in error.message
    assert "gzip -dc" in error.advice


@pytest.mark.parametrize("how", ["lfs", "annex", "dangling"])
def test_each_costs_its_own_case_and_a_label_is_not_left_out(tmp_path, how):
    """Without its label a case would be stored as one that has none."""
    root = tmp_path / "in"
    root.mkdir()
    for name in ("a", "b", "c"):
        save(root / f"{name}_image.nii.gz")
        save(root / f"{name}_label.nii.gz")
    for lost in ("b_image.nii.gz", "c_label.nii.gz"):
        (root / lost).unlink()
        if how == "dangling":
            dangle(root / lost, root)
        else:
            (root / lost).write_bytes(POINTERS[how][0])
    report = gpuprep.run(root, tmp_path / "out", scheduler="serial")
    assert [failure.case_id for failure in report.failures] == ["b", "c"]
    assert all("was not fetched" in failure.message for failure in report.failures)
    assert list(gpuprep.open(tmp_path / "out")) == ["a"]


def test_a_slice_that_was_not_fetched_fails_its_series(tmp_path):
    write_series(tmp_path / "in", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0])
    last = tmp_path / "in/94.dcm"
    last.unlink()
    dangle(last, tmp_path / "in")
    (case,) = discover(tmp_path / "in").cases
    assert len(case.images[0].files) == 6
    with pytest.raises(InputError, match="git-annex link"):
        read(case.images[0], ReadRules())


@pytest.mark.parametrize("name", ["dataset.json", "cases.csv"])
def test_the_list_of_a_cohort_may_be_one(tmp_path, name):
    save(tmp_path / "a.nii.gz")
    (tmp_path / name).write_bytes(LFS)
    with pytest.raises(UsageError, match="Git LFS pointer"):
        discover(tmp_path / name)


def test_a_small_file_that_begins_alike_is_read_as_ever(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"version 1 of a volume")
    assert "none of NIfTI" in refused(tmp_path / "a.nii").message
