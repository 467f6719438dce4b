"""``plan-and-preprocess`` killed at any step, then given again: the bytes of an undisturbed one."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.nnunet_balls import NAME, raw_dataset

pytest.importorskip("blosc2")
pytestmark = pytest.mark.slow

CASES = 3
STEPS = (
    "after_claim",
    "before_read@ball_001",
    "after_stage@ball_001",
    "after_record@ball_001",
    "after_rename@ball_001",
    "before_manifest@ball_001",
    "after_manifest@ball_001",
    "before_close",
)
KILLED = (
    *(
        f"{step}=kill:{run}" for step in STEPS for run in (1, 2)
    ),  # of the fingerprint, of the arrays
    "mid_shard@ball_001=kill",
    "after_output@ball_001/3d_fullres=kill",
    *(f"mid_link@ball_001=kill:{passage}" for passage in range(1, 7)),
    "after_links=kill",
    "mid_ground_truth@ball_001=kill",
    "after_ground_truth=kill",
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return raw_dataset(tmp_path_factory.mktemp("raw"), CASES)


@pytest.fixture(scope="module")
def undisturbed(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    folder = tmp_path_factory.mktemp("calm")
    assert prepare(raw, folder).returncode == 0
    return tree(folder / NAME)


def prepare(raw: Path, folder: Path, failpoints: str = "") -> subprocess.CompletedProcess[str]:
    named = {"nnUNet_raw": str(raw), "nnUNet_preprocessed": str(folder)}
    return subprocess.run(
        [
            *(sys.executable, "-m", "gpuprep.cli.app", "nnunet", "plan-and-preprocess", "-d", "31"),
            *("-npfp", "1", "--scheduler", "serial", "--no_pbar"),
        ],
        env={**os.environ, **named, "GPUPREP_FAILPOINTS": failpoints},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def tree(folder: Path) -> dict[str, str]:
    """All that nnU-Net reads, and that must not be there: the sum of each file by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if not path.is_relative_to(folder / "gpuprep")  # the runs themselves, with their times
    }


@pytest.mark.parametrize("failpoint", KILLED)
def test_the_same_again_gives_equal_bytes(
    failpoint: str, raw: Path, undisturbed: Mapping[str, str], tmp_path: Path
) -> None:
    killed = prepare(raw, tmp_path, failpoint)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    part = tree(tmp_path / NAME) if (tmp_path / NAME).is_dir() else {}
    for name, content in undisturbed.items():  # a case that is there is whole
        if name.endswith(".b2nd") and not name.endswith("_seg.b2nd") and name in part:
            others = [name.replace(".b2nd", end) for end in ("_seg.b2nd", ".pkl", ".b2nd")]
            assert {part.get(each) for each in others} == {undisturbed[each] for each in others}
            assert part[name] == content
    again = prepare(raw, tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert tree(tmp_path / NAME) == undisturbed
