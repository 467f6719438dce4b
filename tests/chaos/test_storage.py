"""Disks that are full, read-only, gone or failing: the run says which, stops where it must, and resumes."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import contents
from support.runs import command, end, finish, go_on, start, wait_for_stop

pytestmark = pytest.mark.slow

QUICK = ("--set", "run.backoff=0.02", "--set", "run.storm=3")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 20 MB, nearly full already."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def failures(output: Path) -> dict[str, dict[str, str]]:
    lines = (output / "failures.jsonl").read_text().splitlines()
    return {row["case"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("scheduler", ["local", "serial"])
def test_a_full_disk_pauses_the_run(some, clean, small_disk, scheduler):
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    ballast.write_bytes(np.random.default_rng(0).bytes(free - 700_000))
    output = small_disk / "out"
    process = start(some, output, scheduler, "", *QUICK)
    printed = end(process)
    assert process.returncode == 3, printed
    assert "free some space" in " ".join(printed.split())
    assert "Traceback" not in printed
    ballast.unlink()
    resumed = finish(some, output)
    assert resumed.returncode == 0, resumed.stderr
    assert contents(output) == clean


def test_a_read_only_output_stops_the_run_after_a_few_cases(some, clean, small_disk):
    output = small_disk / "out"
    process = start(some, output, "serial", "before_manifest=stop:1", *QUICK)
    stopped = wait_for_stop(process)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    go_on(stopped)
    printed = end(process)
    assert process.returncode == 3, printed
    assert "Read-only" in printed
    assert "Traceback" not in printed
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert finish(some, output).returncode == 0
    assert contents(output) == clean


def test_a_storm_of_equal_failures_pauses_the_run(some, clean, tmp_path):
    output = tmp_path / "out"
    process = start(some, output, "serial", "mid_shard=raise-EIO", *QUICK)
    printed = " ".join(end(process).split())
    assert process.returncode == 3, printed
    assert "3 cases in a row failed alike" in printed
    assert "Input/output error" in printed
    assert finish(some, output).returncode == 0
    assert contents(output) == clean


def test_a_source_that_may_not_be_read_is_named(some, tmp_path):
    if os.getuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("this account reads everything, and setpriv (util-linux) is not installed")
    source = tmp_path / "in"
    shutil.copytree(some, source)
    (source / "volume-3.nii.gz").chmod(0)
    humble = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if not os.getuid() else []
    output = tmp_path / "out"
    line = [*humble, *command(source, output, "local")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 1, done.stderr
    (failure,) = failures(output).values()
    assert (failure["kind"], failure["code"]) == ("input", "E_UNREADABLE")
    assert failure["message"] == "the file cannot be opened: Permission denied"
    assert failure["path"] == f"{source}/volume-3.nii.gz"
    assert "this account may read it" in failure["advice"]
    (source / "volume-3.nii.gz").chmod(0o600)
    assert finish(source, output).returncode == 0


def test_a_source_that_vanished_is_named(some, tmp_path):
    source = tmp_path / "in"
    shutil.copytree(some, source)
    output = tmp_path / "out"
    process = start(source, output, "serial", "before_read@volume-4=stop:1")
    stopped = wait_for_stop(process)
    (source / "volume-4.nii.gz").unlink()
    os.kill(stopped, signal.SIGCONT)
    printed = end(process)
    assert process.returncode == 1, printed
    assert set(failures(output)) == {"volume-4"}
    assert "volume-4.nii.gz" in printed
    assert not (output / "attempts.jsonl").exists()
