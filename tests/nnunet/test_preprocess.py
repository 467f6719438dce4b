"""``gpuprep nnunet preprocess``: nnU-Net's whole tree, what grows, changes, fails, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support import nnunet_balls
from support.commands import call
from support.nnunet_balls import (
    NAME,
    describe,
    ids,
    names,
    planned,
    raw_dataset,
    triples,
    write,
    write_case,
)

from gpuprep.host import failpoints
from gpuprep.nnunet.folds import split_folds

FULL, FLAT = "nnUNetPlans_3d_fullres", "nnUNetPlans_2d"

pytest.importorskip("blosc2")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw data set of six cases, beside its plans in ``preprocessed``."""
    raw = raw_dataset(tmp_path / "raw", 6)
    planned(tmp_path / "preprocessed", raw)
    monkeypatch.setenv("nnUNet_raw", str(raw))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    return raw


@pytest.fixture
def folder(raw: Path) -> Path:
    return raw.parent / "preprocessed" / NAME


def prepare(*words: object, check: int = 0) -> Any:
    return call("nnunet", "preprocess", "-d", 31, "--scheduler", "serial", *words, check=check)


def told(*words: object, check: int = 0) -> dict[str, Any]:
    (done,) = json.loads(prepare("--json", *words, check=check).stdout)["datasets"]
    return done


def test_the_tree_is_complete(raw: Path, folder: Path) -> None:
    done = prepare()
    assert "6 done" in done.stdout
    assert f"3d_fullres: 6 cases in {folder / FULL}" in done.stdout
    assert names(folder) == {
        *("dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json", "splits_final.json"),
        *(FULL, FLAT, "gt_segmentations", "gpuprep"),
    }
    assert names(folder / FULL) == names(folder / FLAT) == triples(ids(6))
    assert names(folder / "gpuprep") == {"folders.json", "nnUNetPlans"}
    for case in ids(6):
        copy = folder / "gt_segmentations" / f"{case}.nii.gz"
        assert copy.read_bytes() == (raw / NAME / "labelsTr" / copy.name).read_bytes()
    assert json.loads((folder / "splits_final.json").read_text()) == split_folds(ids(6))
    assert "6" in call("status", folder / "gpuprep" / "nnUNetPlans", check=0).stdout


def test_labels_outside_what_is_not_zero_are_lost_as_with_nnunet_and_told(
    raw: Path, folder: Path
) -> None:
    for channel in range(2):
        file = raw / NAME / "imagesTr" / f"ball_000_{channel:04d}.nii.gz"
        voxels = np.asarray(nibabel.load(file).dataobj).copy()
        voxels[8:] = 0
        write(file, voxels)
    assert "W_LABEL_LOST" in prepare().stdout
    assert names(folder / FULL) == triples(ids(6))


def test_the_same_again_does_nothing(raw: Path, folder: Path) -> None:
    prepare()
    before = {
        path: path.stat().st_ino for path in folder.rglob("*.*") if "gpuprep" not in path.parts
    }
    done = told()
    assert (done["done"], done["skipped"], done["cases"]) == (0, 6, 6)
    after = {
        path: path.stat().st_ino for path in folder.rglob("*.*") if "gpuprep" not in path.parts
    }
    rewritten = {folder / "dataset.json"}
    assert {path for path in before if before[path] != after[path]} <= rewritten


def test_a_broken_case_is_told_and_the_others_are_there(raw: Path, folder: Path) -> None:
    for number in range(6, 40):
        write_case(raw, f"ball_{number:03d}", number)
    describe(raw, 40)
    broken = raw / NAME / "imagesTr" / "ball_007_0000.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    done = prepare(check=1)
    assert "ball_007" in done.stdout
    assert "gpuprep failures" in done.stdout
    left = [case for case in ids(40) if case != "ball_007"]
    assert names(folder / FULL) == triples(left)
    assert json.loads((folder / "splits_final.json").read_text()) == split_folds(left)
    assert not (folder / "gt_segmentations" / "ball_007.nii.gz").exists()
    failures = call("failures", folder / "gpuprep" / "nnUNetPlans", check=1).stdout
    assert "ball_007_0000.nii.gz" in failures
    assert "then: gpuprep nnunet preprocess -d 31" in failures
    assert "--only" not in failures  # which nnU-Net's steps do not have


def test_a_run_that_stopped_writes_no_folds_of_the_cases_so_far(
    raw: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_case(raw, "ball_006", 6)
    describe(raw, 7)
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "_armed", (("after_fsync@ball_006", "raise-ENOSPC"),))
        told = prepare("-d", 31, check=3).stdout  # twice, and the second time is not come to
    assert told.count("stopped: ") == 1
    assert names(folder / FULL) == triples(ids(6))
    assert not (folder / "splits_final.json").exists()
    prepare()
    assert json.loads((folder / "splits_final.json").read_text()) == split_folds(ids(7))


def test_added_cases_alone_are_done(raw: Path, folder: Path) -> None:
    prepare()
    for number in (6, 7):
        write_case(raw, f"ball_{number:03d}", number)
    describe(raw, 8)
    done = prepare()
    assert "2 done" in done.stdout
    assert "6 already done" in done.stdout
    assert names(folder / FULL) == triples(ids(8))
    assert "leaves out 2 cases (ball_006, ball_007)" in done.stdout
    assert json.loads((folder / "splits_final.json").read_text()) == split_folds(ids(6))
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 8


def test_cases_that_left_go(raw: Path, folder: Path) -> None:
    prepare()
    for file in (raw / NAME).rglob("ball_002*"):
        file.unlink()
    describe(raw, 5)
    done = prepare()
    assert names(folder / FULL) == triples([case for case in ids(6) if case != "ball_002"])
    assert "names 1 case (ball_002), of which there are no arrays" in done.stdout


def test_another_plan_makes_all_anew_and_tells_what_went(raw: Path, folder: Path) -> None:
    prepare()
    before = (folder / FULL / "ball_000.b2nd").stat().st_ino
    planned(folder.parent, raw, (2.0, 1.0, 2.0))
    done = prepare()
    assert "6 done" in done.stdout
    assert f"{FULL}: 6 cases of an earlier 3d_fullres of nnUNetPlans are gone" in done.stdout
    assert (folder / FULL / "ball_000.b2nd").stat().st_ino != before


def test_one_configuration_is_enough_and_stays_when_others_follow(raw: Path, folder: Path) -> None:
    assert list(told("-c", "3d_fullres")["folders"]) == ["3d_fullres"]
    assert not (folder / FLAT).exists()
    assert list(told("-c", "2d")["folders"]) == ["3d_fullres", "2d"]
    assert names(folder / FULL) == names(folder / FLAT) == triples(ids(6))


def test_a_configuration_that_there_is_not_is_named(raw: Path, folder: Path) -> None:
    assert "nnUNetPlans.json has no 3d_fulres: left out" in prepare("-c", "2d", "3d_fulres").stdout


def test_files_that_are_no_plans_are_passed_over(raw: Path, folder: Path) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "older.json").write_text('{"configurations": {}}')
    prepare()
    assert "has no plans Mine" in prepare("-p", "Mine", check=2).stderr


def test_a_configuration_that_the_plans_lost_goes(raw: Path, folder: Path) -> None:
    prepare()
    file = folder / "nnUNetPlans.json"
    plans = json.loads(file.read_text())
    del plans["configurations"]["2d"]
    file.write_text(json.dumps(plans))
    (folder / "nnUNetPlans_3d_lowres").mkdir()
    done = prepare()
    assert f"{FLAT} went: nnUNetPlans has no 2d any more" in done.stdout
    assert not (folder / FLAT).exists()
    assert "nnUNetPlans_3d_lowres is of no configuration" in done.stdout
    assert (folder / "nnUNetPlans_3d_lowres").exists()


def test_renamed_labels_keep_the_values_of_the_files(raw: Path, folder: Path) -> None:
    import blosc2

    prepare()
    write_case(raw, "ball_006", 6)
    describe(raw, 7, labels={"background": 0, "core": 1, "ball": 2})
    prepare()
    label = blosc2.open(str(folder / FULL / "ball_006_seg.b2nd"))[:]
    raw_label = nnunet_balls.nibabel.load(raw / NAME / "labelsTr" / "ball_006.nii.gz").get_fdata()
    assert (label == 1).sum() > (label == 2).sum() > 0
    assert (raw_label == 1).sum() > (raw_label == 2).sum()


def test_cases_for_testing_are_none_for_training(raw: Path, folder: Path) -> None:
    tests = raw / NAME / "imagesTs"
    tests.mkdir()
    for channel in range(2):
        image = raw / NAME / "imagesTr" / f"ball_000_{channel:04d}.nii.gz"
        (tests / f"other_{channel:04d}.nii.gz").write_bytes(image.read_bytes())
    assert told()["done"] == 6
    assert names(folder / FULL) == triples(ids(6))


def test_links_in_the_raw_folder_are_followed(raw: Path, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (raw / NAME / "imagesTr").rename(elsewhere)
    (raw / NAME / "imagesTr").mkdir()
    for file in elsewhere.iterdir():
        (raw / NAME / "imagesTr" / file.name).symlink_to(file)
    assert told()["done"] == 6


def test_few_cases_have_no_folds(raw: Path, folder: Path) -> None:
    for number in (3, 4, 5):
        for file in (raw / NAME).rglob(f"ball_{number:03d}*"):
            file.unlink()
    assert "3 cases are too few for 5 folds" in prepare().stdout
    assert not (folder / "splits_final.json").exists()


def test_splits_that_cannot_be_read_are_told(raw: Path, folder: Path) -> None:
    (folder / "splits_final.json").write_text("{")
    assert "splits_final.json is no JSON; delete it" in prepare().stdout


def test_what_lies_between_the_arrays_is_named_before_anything_is_done(
    raw: Path, folder: Path
) -> None:
    (folder / FULL).mkdir()
    (folder / FULL / "notes.txt").touch()
    assert "notes.txt" in prepare(check=2).stderr
    assert not (folder / "gpuprep").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-p", "Mine"), "has no plans Mine"),
        (("--set", "image.orientation=RAS"), "--set image would make other arrays"),
        (("-c", "3d_lowres"), "has none of the configurations 3d_lowres"),
    ],
)
def test_what_cannot_be_done_is_refused(
    words: tuple[str, ...], message: str, raw: Path, folder: Path
) -> None:
    assert message in prepare(*words, check=2).stderr


def test_without_the_raw_folder_it_says_which_variable_to_set(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("nnUNet_raw")
    assert "nnUNet_raw is not set" in prepare(check=2).stderr


def test_a_name_that_nnunet_takes_for_a_label_map_is_refused(raw: Path) -> None:
    write_case(raw, "ball_seg", 9)
    assert "case ball_seg: nnU-Net takes" in prepare(check=2).stderr


def test_a_case_without_a_label_map_is_told(raw: Path, folder: Path) -> None:
    (raw / NAME / "labelsTr" / "ball_001.nii.gz").unlink()
    done = prepare(check=1)
    assert "ball_001: has no label" in done.stderr
    assert names(folder / FULL) == triples([case for case in ids(6) if case != "ball_001"])
