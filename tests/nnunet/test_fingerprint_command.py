"""``gpuprep nnunet fingerprint``: nnU-Net's flags, what it verifies, and that it goes on after a kill."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import contents
from support.commands import call
from support.nnunet_raw import ENDING, read_array, write_case, write_dataset, write_image, write_raw

NAME = "Dataset009_Small"
NAMES = ("a", "b", "c")
SHAPE = (9, 14, 12)  # of case a

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A raw data set, and nnU-Net's two variables."""
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    return write_raw(tmp_path / "raw" / NAME, NAMES)


def fingerprint_file(raw: Path) -> Path:
    return raw.parents[1] / "preprocessed" / raw.name / "dataset_fingerprint.json"


def test_it_is_made_and_planned_from(raw: Path) -> None:
    write_raw(raw.parent / "Dataset010_Other", NAMES[:2])
    made = call("nnunet", "fingerprint", "-d", 9, "010_Other"[:3], "-np", 1, check=0)
    assert "made, of 3 cases" in made.stdout
    assert "made, of 2 cases" in made.stdout
    call("nnunet", "plan", "-d", 9, check=0)
    assert (fingerprint_file(raw).parent / "nnUNetPlans.json").is_file()
    again = call("nnunet", "fingerprint", "-d", 9, "-np", 1, "--json", check=0)
    (told,) = json.loads(again.stdout)["fingerprints"]
    assert told == {
        **{"dataset": NAME, "fingerprint": str(fingerprint_file(raw)), "kept": True, "cases": 3},
        **{"problems": [], "notes": [], "drift": [], "plan_drift": {"ExperimentPlanner": []}},
    }


def test_drift_is_shown_side_by_side_with_what_a_plan_would_become(raw: Path) -> None:
    call("nnunet", "fingerprint", "-d", 9, "-np", 1, check=0)
    for seed in (5, 6, 7, 8):
        write_case(raw, f"more_{seed}", seed)
        label = np.ones((60, 90, 80), np.uint8)
        image = label.astype(np.int16)
        write_image(raw / "imagesTr" / f"more_{seed}_0000{ENDING}", image, (3.0, 1.0, 1.0))
        write_image(raw / "labelsTr" / f"more_{seed}{ENDING}", label, (3.0, 1.0, 1.0))
    told = call("nnunet", "fingerprint", "-d", 9, "-np", 1, check=0).stdout
    rows = {line.strip().split("  ")[0]: line for line in told.splitlines()}
    assert rows["cases"].split()[-2:] == ["3", "7"]
    assert "1.5 × 0.7 × 0.6" in rows["median spacing"]
    assert "3 × 1 × 1" in rows["median spacing"]
    assert "ExperimentPlanner would plan otherwise" in told
    assert "patch_size" in told
    assert json.loads(fingerprint_file(raw).read_text())["spacings"][0] == pytest.approx(
        [1.5, 0.7, 0.6]
    )


def spoil_count(raw: Path) -> str:
    write_dataset(raw, 4)
    return "numTraining: 4, and there are 3"


def spoil_labels(raw: Path) -> str:
    labels = {"background": 0, "organ": 1, "tumour": 2, "far": 4, "near": 3}
    write_dataset(raw, 3, labels={**labels, "last": 6})
    return "6 has no 5 before it"


def spoil_voxels(raw: Path) -> str:
    voxels = np.ones(SHAPE, np.float32)
    voxels[4, 5, 6] = np.nan
    write_image(raw / "imagesTr" / f"a_0000{ENDING}", voxels)
    return "a: W_NAN"


def spoil_value(raw: Path) -> str:
    label = read_array(raw / "labelsTr" / f"a{ENDING}")
    label[5, 5, 5] = 9
    write_image(raw / "labelsTr" / f"a{ENDING}", label)
    return "a: E_LABEL_UNDECLARED"


def spoil_spacing(raw: Path) -> str:
    label = read_array(raw / "labelsTr" / f"a{ENDING}")
    write_image(raw / "labelsTr" / f"a{ENDING}", label, (1.5, 0.7, 0.9))
    return "a: E_"


def spoil_shape(raw: Path) -> str:
    label = read_array(raw / "labelsTr" / f"a{ENDING}")
    write_image(raw / "labelsTr" / f"a{ENDING}", label[1:])
    return "a: E_"


def drop_label(raw: Path) -> str:
    (raw / "labelsTr" / f"a{ENDING}").unlink()
    return "a: has no label"


@pytest.mark.parametrize(
    "spoil",
    [
        *(spoil_count, spoil_labels, spoil_voxels, spoil_value),
        *(spoil_spacing, spoil_shape, drop_label),
    ],
)
def test_what_is_wrong_is_named_with_its_case(raw: Path, spoil: Callable[[Path], str]) -> None:
    told = spoil(raw)
    done = call("nnunet", "fingerprint", "-d", 9, "-np", 1, "--verify_dataset_integrity", check=1)
    assert f"{NAME}: " in done.stderr
    assert told in done.stderr.replace("\n", " ")
    assert fingerprint_file(raw).is_file()


def test_a_data_set_in_order_passes_and_unseen_labels_are_noted(raw: Path) -> None:
    labels = {"background": 0, "organ": 1, "tumour": 2, "rare": 3, "rarer": 4}
    write_dataset(raw, 3, labels=labels)
    done = call("nnunet", "fingerprint", "-d", 9, "-np", 1, "--verify_dataset_integrity", check=0)
    assert "no case has the label values 4" in done.stderr
    assert "problem" not in done.stderr


def test_an_unset_folder_and_a_strange_word_are_refused(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = call("nnunet", "fingerprint", "-d", 9, "--statistics", "some", check=2).stderr
    assert "exact, nnunet" in told
    monkeypatch.delenv("nnUNet_raw")
    assert "nnUNet_raw is not set" in call("nnunet", "fingerprint", "-d", 9, check=2).stderr


@pytest.mark.parametrize("point", ["before_read@b", "after_record@b", "after_rename@b"])
def test_a_killed_run_goes_on_to_the_same_bytes(raw: Path, tmp_path: Path, point: str) -> None:
    words = [
        sys.executable,
        "-m",
        "gpuprep.cli.app",
        "nnunet",
        "fingerprint",
        "-d",
        "9",
        "-np",
        "1",
    ]
    killed = subprocess.run(
        words,
        env={**os.environ, "GPUPREP_FAILPOINTS": f"{point}=kill"},
        capture_output=True,
        check=False,
        timeout=240,
    )
    assert killed.returncode == -9
    assert not fingerprint_file(raw).exists()
    call("nnunet", "fingerprint", "-d", 9, "-np", 1, check=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("nnUNet_preprocessed", str(tmp_path / "undisturbed"))
        call("nnunet", "fingerprint", "-d", 9, "-np", 1, check=0)
    other = tmp_path / "undisturbed" / NAME
    assert fingerprint_file(raw).read_bytes() == (other / fingerprint_file(raw).name).read_bytes()
    cohort = Path("gpuprep", "fingerprint")
    assert contents(fingerprint_file(raw).parent / cohort) == contents(other / cohort)
