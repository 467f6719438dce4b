"""``gpuprep nnunet plan``: nnU-Net's flags and folders, what it writes, says and leaves."""

import json
from pathlib import Path

import pytest
from support.commands import call
from support.nnunet_goldens import GOLDENS

SETS = GOLDENS["datasets"]
SPACING = ("-overwrite_target_spacing",)
CASCADE, STROKE = "Dataset708_SynthCascade", "Dataset703_StrokeRegions"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of preprocessed data sets, with fingerprints alone."""
    for name in (CASCADE, STROKE):
        (tmp_path / name).mkdir()
        for file in ("dataset", "dataset_fingerprint"):
            (tmp_path / name / f"{file}.json").write_text(SETS[name][file])
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    return tmp_path


def test_plans_of_several_sets_are_nnunets_own_files(folder: Path) -> None:
    call("nnunet", "plan", "-d", 703, CASCADE, check=0)
    for name in (CASCADE, STROKE):
        assert (folder / name / "nnUNetPlans.json").read_text() == SETS[name]["nnUNetPlans"]


def test_numbers_may_have_four_digits(folder: Path) -> None:
    (folder / STROKE).rename(folder / "Dataset1703_Stroke")
    call("nnunet", "plan", "-d", 1703, check=0)
    assert (folder / "Dataset1703_Stroke" / "nnUNetPlans.json").is_file()


def test_flags_are_nnunets(folder: Path) -> None:
    flags = (
        "-pl",
        "nnUNetPlannerResEncL",
        "-gpu_memory_target",
        40,
        "-overwrite_plans_name",
        "Mine",
    )
    done = call(
        *("nnunet", "plan", "-d", 708, *flags, "-overwrite_target_spacing", 2, 1, 1, "--json"),
        check=0,
    )
    (told,) = json.loads(done.stdout)["plans"]
    plans = json.loads(Path(told["plans"]).read_text())
    assert plans["plans_name"] == "Mine"
    assert plans["configurations"]["3d_fullres"]["spacing"] == [2, 1, 1]
    assert plans["experiment_planner_used"] == "nnUNetPlannerResEncL"


def test_reasons_are_said_with_what_other_cards_would_get(folder: Path) -> None:
    told = call("nnunet", "plan", "-d", 708, "--explain", check=0).stdout
    assert "after 11 steps of 3 % it has 2.65 times fewer voxels" in told
    assert "the median of each axis" in told
    rows = [line.split() for line in told.splitlines() if line.strip().startswith("24 GB")]
    assert len(rows) == 3


def test_configurations_of_an_older_state_go_and_own_ones_stay(folder: Path) -> None:
    file = folder / CASCADE / "nnUNetPlans.json"
    old = json.loads(SETS[CASCADE]["nnUNetPlans"])
    old["configurations"]["3d_mine"] = {"inherits_from": "3d_fullres", "batch_size": 4}
    file.write_text(json.dumps(old))
    done = call("nnunet", "plan", "-d", 708, "-gpu_memory_target", 80, check=0)
    new = json.loads(file.read_text())["configurations"]
    assert list(new) == ["2d", "3d_fullres", "3d_mine"]
    assert "3d_lowres, 3d_cascade_fullres of an older plan went" in done.stderr
    assert "3d_mine of your own stayed" in done.stderr


def test_an_absurd_batch_is_noted(folder: Path) -> None:
    done = call("nnunet", "plan", "-d", 703, "-pl", "nnUNetPlannerResEncL", check=0)
    assert "2d: a batch of" in done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("-d", 5), "no data set has the number or name 5"),
        (("-d", 708, "-pl", "Planner"), "there is no planner 'Planner'"),
        (("-d", 708, *SPACING, 0, 1, 1), "above 0 mm on every axis, not (0.0, 1.0, 1.0)"),
        (("-d", 708, *SPACING, "nan", 1, 1), "above 0 mm"),
        (
            ("-d", 708, *SPACING, 1, 1000, 1),
            "at 1000 mm half of the cases have no voxel left on axis y",
        ),
        (("-d", 708, "-overwrite_plans_name", "../p"), "plans cannot be called '../p'"),
        (("-d", 708, "-overwrite_plans_name", "dataset"), "plans cannot be called 'dataset'"),
        (("-d", 708, "-overwrite_plans_name", "fingerprint"), "cannot be called 'fingerprint'"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(folder: Path, words, told: str) -> None:
    assert told in call("nnunet", "plan", *words, check=2).stderr


def test_without_its_folder_it_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("nnUNet_preprocessed", raising=False)
    assert "nnUNet_preprocessed is not set" in call("nnunet", "plan", "-d", 1, check=2).stderr


def test_a_set_without_fingerprint_names_the_file(folder: Path) -> None:
    (folder / STROKE / "dataset_fingerprint.json").unlink()
    assert "dataset_fingerprint.json" in call("nnunet", "plan", "-d", 703, check=2).stderr


def test_what_the_raw_set_says_now_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = folder / "raw" / STROKE
    raw.mkdir(parents=True)
    monkeypatch.setenv("nnUNet_raw", str(raw.parent))
    changed = {
        **json.loads(SETS[STROKE]["dataset"]),
        "channel_names": {"0": "CT", "1": "CT", "2": "CT"},
    }
    (raw / "dataset.json").write_text(json.dumps(changed))
    (raw / "splits_final.json").write_text("[]")
    call("nnunet", "plan", "-d", 703, check=0)
    plans = json.loads((folder / STROKE / "nnUNetPlans.json").read_text())
    assert set(plans["configurations"]["2d"]["normalization_schemes"]) == {"CTNormalization"}
    assert (folder / STROKE / "splits_final.json").read_text() == "[]"
    (raw / "splits_final.json").write_text('[{"train": [], "val": []}]')
    assert "different splits" in call("nnunet", "plan", "-d", 703, check=2).stderr
    (raw / "dataset.json").write_bytes(b"\xff\xfe{")
    assert "is not JSON" in call("nnunet", "plan", "-d", 703, check=2).stderr


def test_a_fingerprint_of_no_case_has_no_plan(folder: Path) -> None:
    file = folder / CASCADE / "dataset_fingerprint.json"
    empty = {"spacings": [], "shapes_after_crop": []}
    file.write_text(json.dumps({**json.loads(file.read_text()), **empty}))
    assert "fingerprint is of no case" in call("nnunet", "plan", "-d", 708, check=2).stderr
