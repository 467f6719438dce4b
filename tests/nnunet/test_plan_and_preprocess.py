"""``gpuprep nnunet plan-and-preprocess``: from raw files alone to what nnU-Net trains on."""

import json
from pathlib import Path

import pytest
from support.commands import call
from support.nnunet_balls import NAME, describe, ids, names, raw_dataset, triples, write_case

FULL, FLAT = "nnUNetPlans_3d_fullres", "nnUNetPlans_2d"

pytest.importorskip("blosc2")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw data set of six cases, and a place for what is made of them."""
    raw = raw_dataset(tmp_path / "raw", 6)
    monkeypatch.setenv("nnUNet_raw", str(raw))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "new"))
    return raw


def test_everything_from_the_raw_files_alone(raw: Path, tmp_path: Path) -> None:
    words = ("-d", 31, "-npfp", 1, "-np", 1, "--verify_dataset_integrity", "--no_pbar")
    done = call("nnunet", "plan-and-preprocess", *words, "--scheduler", "serial", check=0)
    folder = tmp_path / "new" / NAME
    assert names(folder / FULL) == names(folder / FLAT) == triples(ids(6))
    assert "dataset_fingerprint.json: made, of 6 cases" in done.stdout
    assert f"2d: 6 cases in {folder / FLAT}" in done.stdout
    plans = json.loads((folder / "nnUNetPlans.json").read_text())
    assert plans["configurations"]["3d_fullres"]["spacing"] == [2, 1, 1]


def test_a_set_that_grew_keeps_its_plan_and_shows_what_moved(raw: Path, tmp_path: Path) -> None:
    words = ("nnunet", "plan-and-preprocess", "-d", 31, "-npfp", 1, "--scheduler", "serial")
    call(*words, check=0)
    folder = tmp_path / "new" / NAME
    before = {name: (folder / FULL / name).stat().st_ino for name in triples(ids(6))}
    fingerprint = (folder / "dataset_fingerprint.json").read_text()
    for number in (6, 7):
        write_case(raw, f"ball_{number:03d}", number)
    describe(raw, 8)
    done = call(*words, check=0)
    assert "2 done, 6 already done" in done.stdout
    assert "dataset_fingerprint.json: kept, of 6 cases" in done.stdout
    assert "the raw data would give another one now" in done.stdout
    assert (folder / "dataset_fingerprint.json").read_text() == fingerprint
    assert names(folder / FULL) == triples(ids(8))
    assert {name: (folder / FULL / name).stat().st_ino for name in triples(ids(6))} == before


def test_a_plan_under_another_name_has_folders_of_its_own(raw: Path, tmp_path: Path) -> None:
    words = ("-d", NAME, "-npfp", 1, "--scheduler", "serial", "-c", "3d_fullres")
    call("nnunet", "plan-and-preprocess", *words, check=0)
    other = ("-overwrite_target_spacing", 2, 2, 2, "-overwrite_plans_name", "Coarse")
    call("nnunet", "plan-and-preprocess", *words, *other, check=0)
    folder = tmp_path / "new" / NAME
    assert names(folder / FULL) == names(folder / "Coarse_3d_fullres") == triples(ids(6))


def test_a_broken_case_is_told_by_both_steps_and_the_others_are_there(
    raw: Path, tmp_path: Path
) -> None:
    broken = raw / NAME / "imagesTr" / "ball_004_0001.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    words = ("-d", 31, "-npfp", 1, "--scheduler", "serial")
    done = call("nnunet", "plan-and-preprocess", *words, check=1)
    assert "ball_004" in done.stderr
    left = [case for case in ids(6) if case != "ball_004"]
    assert names(tmp_path / "new" / NAME / FULL) == triples(left)


def test_plans_alone_leave_no_arrays(raw: Path, tmp_path: Path) -> None:
    call("nnunet", "plan-and-preprocess", "-d", 31, "-npfp", 1, "--no_pp", check=0)
    folder = tmp_path / "new" / NAME
    assert names(folder) == {
        *("dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json", "gpuprep"),
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-pl", "Planner"), "there is no planner 'Planner'"),
        (("-fpe", "MyExtractor"), "--fpe 'MyExtractor' is not one of"),
        (("-preprocessor_name", "Mine"), "--preprocessor_name 'Mine' is not one of"),
        (("--statistics", "all"), "--statistics 'all' is not one of"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_counted(
    words: tuple[str, ...], told: str, raw: Path, tmp_path: Path
) -> None:
    assert told in call("nnunet", "plan-and-preprocess", "-d", 31, *words, check=2).stderr
    assert not (tmp_path / "new").exists()


def test_flags_with_nnunets_own_defaults_are_taken(raw: Path, tmp_path: Path) -> None:
    words = ("-fpe", "DatasetFingerprintExtractor", "-np", 1, "--no_pbar", "--verbose")
    call("nnunet", "fingerprint", "-d", 31, *words, check=0)
    call("nnunet", "plan", "-d", 31, "-preprocessor_name", "DefaultPreprocessor", check=0)
    assert (tmp_path / "new" / NAME / "nnUNetPlans.json").exists()


def test_fingerprint_and_plans_alone_are_told_to_machines_too(raw: Path) -> None:
    words = ("-d", 31, "-npfp", 1, "--no_pp", "--json")
    told = json.loads(call("nnunet", "plan-and-preprocess", *words, check=0).stdout)
    assert told["fingerprints"][0]["cases"] == 6
    assert told["plans"][0]["configurations"] == ["2d", "3d_fullres"]


def test_channels_and_labels_may_be_called_otherwise_later(raw: Path, tmp_path: Path) -> None:
    words = ("nnunet", "plan-and-preprocess", "-d", 31, "-npfp", 1, "--scheduler", "serial")
    call(*words, "-c", "2d", check=0)
    named = {"channel_names": {"0": "CT", "1": "CT"}}
    describe(raw, 6, **named, labels={"background": 0, "tumor": 1, "core": 2})
    call(*words, "-c", "2d", check=0)
    plans = json.loads((tmp_path / "new" / NAME / "nnUNetPlans.json").read_text())
    assert plans["configurations"]["2d"]["normalization_schemes"] == ["CTNormalization"] * 2
    assert names(tmp_path / "new" / NAME / FLAT) == triples(ids(6))
