"""Runs of the command in a session of their own, which failpoints stop at a known step."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

_DEADLINE = 120.0  # a machine under load takes many times as long as a calm one


def wait_until(true: Callable[[], object], what: str, seconds: float = _DEADLINE) -> None:
    """Look again and again whether something holds; AssertionError with ``what`` where it never does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.02)


def command(source: Path, output: Path | str, scheduler: str, *options: str) -> list[str]:
    workers = ["--workers", "2"] if scheduler == "local" else []
    return [
        *(sys.executable, "-m", "gpuprep.cli.app", "run", str(source), str(output)),
        *("--scheduler", scheduler, *workers, "--no-progress", *options),
        *("--set", "image.resample.spacing=[0.5,0.5,0.6]"),
    ]


def start(
    source: Path,
    output: Path,
    scheduler: str,
    failpoints: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """A run with failpoints, whose passages all its processes count together."""
    counts = _passages(output)
    counts.mkdir(parents=True, exist_ok=True)
    armed = {"GPUPREP_FAILPOINTS": failpoints, "GPUPREP_FAILPOINTS_COUNTS": str(counts)}
    return subprocess.Popen(
        command(source, output, scheduler, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, **armed, **(environment or {})},
    )


def finish(
    source: Path, output: Path | str, scheduler: str = "serial", *options: str
) -> subprocess.CompletedProcess[str]:
    """A run that nothing disturbs, to its end."""
    line = command(source, output, scheduler, *options)
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)


def end(process: subprocess.Popen[str]) -> str:
    """What a run printed, once it is over; none of its processes is left then."""
    try:
        printed, _ = process.communicate(timeout=_DEADLINE)
    except subprocess.TimeoutExpired:
        for pid in session_members(process.pid):
            os.kill(pid, signal.SIGKILL)
        raise
    assert not wait_for_silence(process.pid), printed
    return printed


def wait_for_stops(process: subprocess.Popen[str], number: int) -> set[int]:
    """The processes of a run that failpoints have stopped, once there are so many."""
    stopped: set[int] = set()

    def look() -> bool:
        assert process.poll() is None, process.communicate()[0]
        stopped.update(pid for pid, state in session_members(process.pid).items() if state == "T")
        return len(stopped) >= number

    wait_until(look, f"failpoints have stopped {number} processes of the run")
    return stopped


def wait_for_stop(process: subprocess.Popen[str]) -> int:
    """The process of a run that a failpoint has stopped, once there is one."""
    (stopped,) = wait_for_stops(process, 1)
    return stopped


def wait_for_passage(output: Path, step: str, passage: int) -> None:
    """Until a run has come so often to a failpoint that is armed with a passage."""
    counted = _passages(output) / step
    wait_until(
        lambda: counted.exists() and counted.stat().st_size >= passage,
        f"the run came to {step} {passage} times",
    )


def _passages(output: Path) -> Path:
    return output.with_name(f"{output.name}-passages")


def go_on(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def session_members(leader: int) -> dict[int, str]:
    """Processes that still live in the session of a run, zombies aside, with their states."""
    members = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, *fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader and state != "Z":
            members[int(entry.name)] = state
    return members


def wait_for_silence(leader: int, seconds: float = 20) -> dict[int, str]:
    """Who is left of a run's session after a while."""
    with suppress(AssertionError):
        wait_until(lambda: not session_members(leader), "the run's processes are gone", seconds)
    return session_members(leader)
