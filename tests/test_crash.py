"""Killed and interrupted runs: what is left is whole, and the next run finishes it byte for byte."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import write_pair
from test_run import contents

from gpuprep.store.verify import verify_cohort

CASES = 14


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for number in range(CASES):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert finish(many, output).returncode == 0
    return contents(output)


def command(source: Path, output: Path, scheduler: str) -> list[str]:
    options = ["--set", "image.resample.spacing=[0.5,0.5,0.6]", "--no-progress"]
    workers = ["--workers", "2"] if scheduler == "local" else []
    return [
        *(sys.executable, "-m", "gpuprep.cli", "run", str(source), str(output)),
        *("--scheduler", scheduler, *workers, *options),
    ]


def start(source: Path, output: Path, scheduler: str = "local") -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(source, output, scheduler),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(
    source: Path, output: Path, scheduler: str = "serial"
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(source, output, scheduler), capture_output=True, text=True, check=False, timeout=240
    )


def wait_for_cases(output: Path, number: int, process: subprocess.Popen[str]) -> None:
    """Until so many cases are committed (or the run is over)."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(output.glob("cases/*.zarr/record.json"))) >= number:
            return
        time.sleep(0.01)


def session_members(leader: int) -> list[int]:
    """Processes that still live in the session of a run, zombies aside."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(after_name[3]) == leader and after_name[0] != "Z":
            members.append(int(entry.name))
    return members


def wait_for_silence(leader: int, seconds: float = 20) -> list[int]:
    deadline = time.monotonic() + seconds
    while session_members(leader) and time.monotonic() < deadline:
        time.sleep(0.1)
    return session_members(leader)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_sigkill_at_a_random_moment_then_resume(many, undisturbed, tmp_path, seed):
    moment = random.Random(seed)
    output = tmp_path / "out"
    process = start(many, output)
    wait_for_cases(output, moment.randrange(1, CASES - 3), process)
    time.sleep(moment.uniform(0, 0.15))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert not wait_for_silence(process.pid), "workers outlived the killed run"
    assert not verify_cohort(output, full=True)
    survivors = {path: path.stat().st_mtime_ns for path in output.glob("cases/*/record.json")}
    resumed = finish(many, output)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert contents(output) == undisturbed
    assert not list((output / ".staging").glob("*"))
    assert survivors == {path: path.stat().st_mtime_ns for path in survivors}, "a case was redone"


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["local", "serial"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_drains_and_leaves_nothing_behind(many, undisturbed, tmp_path, scheduler, number):
    output = tmp_path / "out"
    process = start(many, output, scheduler)
    wait_for_cases(output, 2, process)
    os.killpg(process.pid, number) if number == signal.SIGINT else os.kill(process.pid, number)
    began = time.monotonic()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130, printed
    assert time.monotonic() - began < 20
    assert "Traceback" not in printed
    assert "not yet done" in printed
    assert not wait_for_silence(process.pid)
    assert not list((output / ".staging").glob("*"))
    resumed = finish(many, output)
    assert resumed.returncode == 0, resumed.stdout
    assert contents(output) == undisturbed


@pytest.mark.slow
def test_a_second_run_on_the_same_output_is_refused(many, tmp_path):
    output = tmp_path / "out"
    process = start(many, output, "serial")
    wait_for_cases(output, 1, process)
    second = finish(many, output)
    assert second.returncode == 2
    assert "another run" in second.stderr
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed


@pytest.mark.slow
def test_killed_reader_child_costs_no_case(many, tmp_path):
    """A reader child that is shot in the middle is replaced; at worst its one case fails as a crash."""
    output = tmp_path / "out"
    process = start(many, output, "serial")
    wait_for_cases(output, 3, process)
    for child in session_members(process.pid):
        words = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"sandbox_child" in words:
            os.kill(child, signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode in (0, 1), printed
    assert finish(many, output).returncode == 0


@pytest.mark.slow
def test_a_killed_worker_costs_no_case(many, undisturbed, tmp_path):
    output = tmp_path / "out"
    process = start(many, output)
    wait_for_cases(output, 2, process)
    workers = [
        child
        for child in session_members(process.pid)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(workers[0], signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert contents(output) == undisturbed
