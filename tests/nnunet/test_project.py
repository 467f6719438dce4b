"""nnU-Net's folders as the cases of a cohort are: links, what goes, and what is named instead."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.nnunet.filled import Filled, FilledFolders
from gpuprep.nnunet.ground_truth import keep_ground_truth
from gpuprep.nnunet.project import Projection, cohort_folder
from gpuprep.store.layout import case_folder
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseChanged, CaseDone, CaseFailed, RunStarted

PLANS = "nnUNetPlans"
FOLDERS = {"3d_fullres": "nnUNetPlans_3d_fullres", "2d": "nnUNetPlans_2d"}
STARTED = RunStarted(1, 1, "numpy")
FILES = {"image.b2nd": ".b2nd", "label.b2nd": "_seg.b2nd", "properties.pkl": ".pkl"}


def store(dataset: Path, case: str, text: str = "made") -> None:
    """A case as a run leaves it: another folder in place of the one before."""
    folder = case_folder(cohort_folder(dataset, PLANS), case)
    for output in FOLDERS:
        (folder / output).mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (folder / output / file).unlink(missing_ok=True)
            (folder / output / file).write_text(f"{text} {output} {file}")


def projection_of(
    dataset: Path, digest: str = "a", tell: Callable[[str], None] = print
) -> Projection:
    return Projection(dataset, PLANS, digest, FOLDERS, tell)


def begun(dataset: Path, digest: str = "a", tell: Callable[[str], None] = print) -> Projection:
    """At the start of a run."""
    made = projection_of(dataset, digest, tell)
    made.check()
    made(STARTED)
    return made


def finished(dataset: Path, *cases: str, members: tuple[str, ...] = ()) -> Projection:
    made = begun(dataset)
    for case in cases:
        store(dataset, case)
        made(CaseDone(case))
    made.complete(members or cases, ended=True)
    return made


def names(dataset: Path, output: str = "3d_fullres") -> set[str]:
    return {path.name for path in (dataset / FOLDERS[output]).iterdir()}


def of(*cases: str) -> set[str]:
    return {case + end for case in cases for end in FILES.values()}


def test_every_output_of_a_case_has_its_folder(tmp_path: Path) -> None:
    finished(tmp_path, "a", "b")
    for output in FOLDERS:
        assert names(tmp_path, output) == of("a", "b")
    link, file = tmp_path / FOLDERS["2d"] / "a_seg.b2nd", "label.b2nd"
    assert link.samefile(case_folder(cohort_folder(tmp_path, PLANS), "a") / "2d" / file)
    assert not list((tmp_path / "gpuprep").glob(".partial*"))


def test_a_case_is_there_as_soon_as_it_is_done(tmp_path: Path) -> None:
    made = begun(tmp_path)
    store(tmp_path, "a")
    made(CaseDone("a"))
    assert names(tmp_path) == of("a")


def test_a_case_made_anew_is_linked_anew_and_not_there_while_it_changes(tmp_path: Path) -> None:
    finished(tmp_path, "a", "b")
    told: list[str] = []
    made = begun(tmp_path, tell=told.append)
    assert not told
    made(CaseChanged("a", "source", "its files"))
    assert names(tmp_path) == of("b")
    store(tmp_path, "a", "new")
    made(CaseDone("a"))
    assert (tmp_path / FOLDERS["2d"] / "a.b2nd").read_text() == "new 2d image.b2nd"


def test_the_image_goes_first_and_comes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path, "a")
    store(tmp_path, "a", "new")
    seen = []
    monkeypatch.setattr(
        "gpuprep.nnunet.project.failpoint", lambda step, case: seen.append(names(tmp_path))
    )
    made = begun(tmp_path)
    made(CaseDone("a"))
    assert ["a.b2nd" in each for each in seen[:3]] == [False, False, True]


def test_cases_that_failed_or_left_go(tmp_path: Path) -> None:
    finished(tmp_path, "a", "b", "c")
    made = begun(tmp_path)
    made(CaseDone("a", skipped=True))
    made(CaseFailed("b", "InputError", "E_READ", "broken"))
    made.complete(["a", "b"], ended=True)
    assert names(tmp_path) == of("a")


def test_cases_that_an_interrupted_run_did_not_come_to_stay(tmp_path: Path) -> None:
    finished(tmp_path, "a", "b", "c")
    made = begun(tmp_path)
    made(CaseDone("a", skipped=True))
    made.complete(["a", "b"], ended=False)
    assert names(tmp_path) == of("a", "b")


def test_arrays_of_another_make_go_first_and_are_told(tmp_path: Path) -> None:
    theirs = tmp_path / FOLDERS["2d"]
    theirs.mkdir()
    for name in ("x.b2nd", "x_seg.b2nd", "x.pkl", "y.npz", "y.pkl", "y_seg.npy"):
        (theirs / name).touch()
    told: list[str] = []
    begun(tmp_path, tell=told.append)
    assert told.pop().startswith("nnUNetPlans_2d: 2 cases of nnU-Net's own are gone")
    assert not names(tmp_path, "2d")
    finished(tmp_path, "a")
    projection_of(tmp_path, "b").check()
    assert names(tmp_path) == of("a")  # a run that is refused changes nothing
    begun(tmp_path, "b", told.append)
    assert told[0].startswith(
        "nnUNetPlans_3d_fullres: 1 case of an earlier 3d_fullres of nnUNetPlans"
    )
    assert not names(tmp_path)


@pytest.mark.parametrize("strange", ["notes.txt", ".DS_Store", "folder.b2nd/"])
def test_what_nnunet_refuses_is_named_and_stays(strange: str, tmp_path: Path) -> None:
    folder = tmp_path / FOLDERS["2d"]
    folder.mkdir()
    file = folder / strange.rstrip("/")
    file.mkdir() if strange.endswith("/") else file.touch()
    with pytest.raises(UsageError, match=file.name):
        projection_of(tmp_path).check()
    assert file.exists()


def test_without_hard_links_files_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(errno.EXDEV, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert finished(tmp_path, "a").copied
    copy = tmp_path / FOLDERS["2d"] / "a.b2nd"
    before = copy.stat()
    assert before.st_nlink == 1
    again = begun(tmp_path)
    again(CaseDone("a", skipped=True))
    again.complete(["a"], ended=True)
    assert copy.stat().st_ino == before.st_ino


def test_a_disk_that_refuses_is_told_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    made = begun(tmp_path)
    store(tmp_path, "a")
    monkeypatch.setattr(os, "link", refuse)
    made(CaseDone("a"))
    with pytest.raises(OSError, match="full"):
        made.complete(["a"], ended=True)


def test_label_maps_are_copied_when_they_are_newer(tmp_path: Path) -> None:
    raw = tmp_path / "raw.mha"
    raw.write_text("one")
    args = (tmp_path / "set", {"a": raw}, ".mha", tmp_path / "aside")
    (tmp_path / "set").mkdir()
    assert keep_ground_truth(*args) == ("a",)
    assert keep_ground_truth(*args) == ()
    raw.write_text("two")
    os.utime(raw, ns=(raw.stat().st_atime_ns, raw.stat().st_mtime_ns + 1))
    assert keep_ground_truth(*args) == ("a",)
    assert (tmp_path / "set" / "gt_segmentations" / "a.mha").read_text() == "two"


def test_a_list_of_folders_leads_nowhere_else(tmp_path: Path) -> None:
    filled = FilledFolders(tmp_path)
    for name in ("../other", "gt_segmentations", "nnUNetPlans_2d"):
        filled.note(name, Filled(PLANS, "2d", "a"))
    assert list(filled.read()) == ["nnUNetPlans_2d"]


def test_a_folder_of_arrays_on_another_disk_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / FOLDERS["2d"]
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="2d is no folder"):
        projection_of(tmp_path).check()
    folder.unlink()
    folder.symlink_to("/proc/self")
    with pytest.raises(UsageError, match="lies on another disk"):
        projection_of(tmp_path).check()


def test_other_plans_that_end_meanwhile_take_nothing_away(tmp_path: Path) -> None:
    made = begun(tmp_path)
    other = Projection(tmp_path, "Other", "a", {"2d": "Other_2d"}, print)
    other(STARTED)
    other.complete((), ended=True)
    store(tmp_path, "a")
    made(CaseDone("a"))
    assert names(tmp_path) == of("a")


def test_ground_truth_takes_the_voxels_along_that_its_header_names(tmp_path: Path) -> None:
    raw = tmp_path / "labelsTr"
    raw.mkdir()
    label = sitk.GetImageFromArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    for case in ("a", "b"):
        sitk.WriteImage(label, str(raw / f"{case}.mhd"))
    (raw / "b.mhd").write_text((raw / "b.mhd").read_text().replace("b.raw", "below/b.raw"))
    (raw / "below").mkdir()
    (raw / "b.raw").rename(raw / "below" / "b.raw")

    labels = {case: raw / f"{case}.mhd" for case in ("a", "b")}
    assert keep_ground_truth(tmp_path / "made", labels, ".mhd", tmp_path / "aside") == ("a", "b")
    kept = tmp_path / "made" / "gt_segmentations"
    assert {file.name for file in kept.iterdir()} == {
        "a.mhd",
        "a.raw",
        "b.mhd",
    }  # no other folder's
    again = sitk.GetArrayFromImage(sitk.ReadImage(str(kept / "a.mhd")))
    assert (again == sitk.GetArrayFromImage(label)).all()
