"""Ctrl-C once, twice, three times, and a terminal that is closed: no orphan, nothing half done."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cohorts import contents
from support.runs import (
    command,
    end,
    finish,
    go_on,
    session_members,
    start,
    wait_for_passage,
    wait_for_silence,
    wait_for_stop,
    wait_until,
)

pytestmark = pytest.mark.slow


def naps(pid: int) -> int:
    """How often the main thread of a process has gone to sleep."""
    (line,) = re.findall(
        r"^voluntary_ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    return int(line)


def interrupt(leader: int) -> None:
    """Ctrl-C, which the run has noticed: a second one before that would be the same to the system."""
    wait_until(lambda: session_members(leader)[leader] == "S", "the run sleeps")
    before = naps(leader)
    os.killpg(leader, signal.SIGINT)
    wait_until(lambda: naps(leader) > before, "the run was awake and sleeps again")


def resume(source: Path, output: Path) -> dict[str, bytes]:
    resumed = finish(source, output)
    assert resumed.returncode == 0, resumed.stderr
    assert not list((output / ".staging").glob("*"))
    return contents(output)


@pytest.mark.parametrize("scheduler", ["local", "serial"])
def test_the_second_request_stops_at_once(some, clean, tmp_path, scheduler):
    """One case hangs in its middle; draining would take its ten minutes."""
    output = tmp_path / "out"
    process = start(some, output, scheduler, "after_shards=sleep-600:2", "--set", "run.drain=600")
    wait_for_passage(output, "after_shards", 2)
    interrupt(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    printed = end(process)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert not list((output / ".staging").glob("*"))
    assert resume(some, output) == clean


@pytest.mark.parametrize("scheduler", ["local", "serial"])
def test_a_drain_has_an_end(some, clean, tmp_path, scheduler):
    output = tmp_path / "out"
    process = start(some, output, scheduler, "after_shards=sleep-600:2", "--set", "run.drain=3")
    wait_for_passage(output, "after_shards", 2)
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    printed = end(process)
    assert process.returncode == 130, printed
    assert time.monotonic() - began >= 3
    assert resume(some, output) == clean


def test_the_third_request_is_the_end(some, clean, tmp_path):
    """The process is gone while it clears up; its workers follow by themselves."""
    output = tmp_path / "out"
    process = start(some, output, "local", "before_close=sleep-600:1,before_manifest=stop:2")
    stopped = wait_for_stop(process)
    os.kill(process.pid, signal.SIGINT)
    go_on(stopped)
    wait_for_passage(output, "before_close", 1)
    interrupt(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    printed = end(process)
    assert process.returncode == 130, printed
    assert resume(some, output) == clean


def test_a_closed_terminal_drains(some, clean, tmp_path):
    output = tmp_path / "out"
    ours, theirs = pty.openpty()
    script = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    script += " os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, *command(some, output, "local")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "GPUPREP_FAILPOINTS": "before_manifest=stop:2"},
    )
    os.close(theirs)
    wait_for_stop(process)
    os.close(ours)  # which sends SIGHUP, and SIGCONT
    assert process.wait(120) == 130
    assert not wait_for_silence(process.pid)
    assert resume(some, output) == clean
