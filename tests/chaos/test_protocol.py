"""The coordinator killed at each step: the resumed output is that of a clean run, byte for byte."""

import signal
from pathlib import Path

import pytest
from support.cohorts import contents, write_pair
from support.runs import end, finish, start

pytestmark = pytest.mark.slow

COHORT = ("--set", "image.intensity=[{zscore: {over: cohort}}]")
STEPS = ["before_read", "after_stage", "mid_shard", "after_shards", "after_record", "after_fsync"]
STEPS += ["after_rename", "after_claim", "after_statistics", "before_manifest", "after_manifest"]


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for number in range(3):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def clean(few, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("clean") / "out"
    assert finish(few, output, "serial", *COHORT).returncode == 0
    return contents(output)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_and_resumed(few, clean, tmp_path, step):
    """In serial mode the coordinator takes every step itself."""
    output = tmp_path / "out"
    once = step in ("after_claim", "after_statistics")
    process = start(few, output, "serial", f"{step}=kill:{1 if once else 2}", *COHORT)
    end(process)
    assert process.returncode == -signal.SIGKILL
    whole = {path: path.stat().st_mtime_ns for path in output.glob("cases/*/record.json")}
    resumed = finish(few, output, "serial", *COHORT)
    assert resumed.returncode == 0, resumed.stderr
    assert contents(output) == clean
    assert whole == {path: path.stat().st_mtime_ns for path in whole}, "a case was redone"
    assert not list((output / ".staging").glob("*"))
    lines = (output / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 3
