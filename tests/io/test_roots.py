"""Files outside the input folder stay unread, whatever header or link leads to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.dicom_series import write_series

from gpuprep.config.model import Config
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.planning.preview import preview_cohort
from gpuprep.running.coordinator import run
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def cohort(tmp_path) -> Path:
    """``in/x.nii`` and, beside ``in``, the same file as ``out/x.nii``."""
    image = nibabel.Nifti1Image(np.zeros((6, 6, 6), np.int16), np.diag([1, 2, 3, 1]))
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
        nibabel.save(image, tmp_path / name / "x.nii")
    return tmp_path / "in"


def refused(path: Path, rules: ReadRules, files: tuple[str, ...] = ()) -> None:
    for action in (peek, read):
        with pytest.raises(InputError, match=r"E_UNSAFE_PATH.*outside") as error:
            action(Source(str(path), files), rules)
        assert str(path) in error.value.path


def test_a_link_out_of_the_roots_is_refused_and_one_within_is_followed(cohort):
    rules = ReadRules(roots=(str(cohort),))
    (cohort / "link.nii").symlink_to(cohort.parent / "out/x.nii")
    (cohort / "same.nii").symlink_to("x.nii")
    refused(cohort / "link.nii", rules)
    refused(cohort / "../out/x.nii", rules)
    assert read(Source(str(cohort / "same.nii")), rules).format == "nifti1"
    more = ReadRules(roots=(str(cohort), str(cohort.parent / "out")))
    assert read(Source(str(cohort / "link.nii")), more).format == "nifti1"


def test_half_of_a_pair_outside_is_refused(cohort):
    image = nibabel.Nifti1Pair(np.zeros((6, 6, 6), np.int16), np.eye(4))
    nibabel.save(image, cohort / "pair.hdr")
    shutil.move(cohort / "pair.img", cohort.parent / "out")
    (cohort / "pair.img").symlink_to(cohort.parent / "out/pair.img")
    rules = ReadRules(roots=(str(cohort),))
    for action in (peek, read):
        with pytest.raises(InputError, match="E_UNSAFE_PATH"):
            action(Source(str(cohort / "pair.hdr")), rules)


def test_a_slice_outside_is_refused_named_or_found(cohort):
    folder = write_series(cohort / "s", [0, 1, 2])
    shutil.move(folder / "98.dcm", cohort.parent / "out")
    (folder / "98.dcm").symlink_to(cohort.parent / "out/98.dcm")
    rules = ReadRules(roots=(str(cohort),))
    refused(folder, rules)
    refused(folder, rules, ("99.dcm", "98.dcm", "97.dcm"))
    assert read(Source(str(folder)), ReadRules()).geometry.shape[0] == 3


def test_a_link_made_after_discovery_is_refused_by_the_worker(cohort, tmp_path, monkeypatch):
    """Between the listing and the read a file may be swapped for a link."""
    from gpuprep.running import coordinator

    discover = coordinator.discover

    def swapped(*arguments: object, **options: object) -> object:
        found = discover(*arguments, **options)
        (cohort / "x.nii").unlink()
        (cohort / "x.nii").symlink_to(cohort.parent / "out/x.nii")
        return found

    monkeypatch.setattr(coordinator, "discover", swapped)
    report = run(cohort, tmp_path / "done", config=Config(), scheduler="serial")
    assert [failure.code for failure in report.failures] == ["E_UNSAFE_PATH"]


def test_followed_links_lead_to_the_configured_roots_only(cohort):
    (cohort / "x.nii").unlink()
    (cohort / "x.nii").symlink_to(cohort.parent / "out/x.nii")
    tree = {"follow_symlinks": True}
    anywhere = Config.model_validate({"input": tree})
    elsewhere = Config.model_validate({"input": {**tree, "roots": [str(cohort)]}})
    there = Config.model_validate({"input": {**tree, "roots": [str(cohort.parent / "out")]}})
    assert not preview_cohort(cohort, anywhere).refused
    assert not preview_cohort(cohort, there).refused
    assert [row.code for row in preview_cohort(cohort, elsewhere).refused] == ["E_UNSAFE_PATH"]
    assert anywhere.digest == there.digest == Config().digest
