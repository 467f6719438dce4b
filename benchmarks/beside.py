"""What a running job loses to readers of chunks: to those on its own machine, and to the service alone.

The machine of a benchmark holds the readers too. At equal priority they take processors from the job that
readers elsewhere would not. At the lowest priority (``SCHED_IDLE``) they stand for such readers: they work
where nobody else does, and what the job loses is what the service takes for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from load import Door, ranges
from timing import ROOT

READERS = 50
_PAUSE = 0.05  # seconds between a reader's requests
_ROUNDS = 3
_READ = re.compile(r'gpuprep_requests_total\{status="206",verb="GET"\} (\S+)')


class Took(NamedTuple):
    """A job's seconds from its start to its end, and what the service did meanwhile."""

    seconds: float
    cpu: float
    """Seconds of processor that the service's own process had."""
    ranges: float
    """How many it answered."""


def beside(door: Door, path: str) -> dict[str, float]:
    """A job by itself, and beside readers of equal and of lowest priority, in turns; the best of each."""
    alone, equal, lowest = [], [], []
    for number in range(_ROUNDS):
        alone.append(_job(door, f"alone-{number}"))
        with _readers(door, path, "equal"):
            equal.append(_job(door, f"equal-{number}"))
        with _readers(door, path, "lowest"):
            lowest.append(_job(door, f"lowest-{number}"))
    best = min(alone)
    return {
        "a job by itself, s": round(best.seconds, 2),
        "CPU of the service meanwhile, s": round(best.cpu, 3),
        f"the same beside {READERS} readers, s": round(min(equal).seconds, 2),
        "lost to them, %": _lost(min(equal), best),
        **_service("readers", min(equal)),
        f"the same beside {READERS} readers of lowest priority, s": round(min(lowest).seconds, 2),
        "lost beside those of lowest priority, %": _lost(min(lowest), best),
        **_service("readers of lowest priority", min(lowest)),
    }


def _lost(took: Took, alone: Took) -> float:
    return round(100 * (took.seconds / alone.seconds - 1), 1)


def _service(readers: str, took: Took) -> dict[str, float]:
    """What the service itself did during a job."""
    return {
        f"CPU of the service beside {readers}, s": round(took.cpu, 3),
        f"ranges a second to {readers}": round(took.ranges / took.seconds),
    }


def _job(door: Door, name: str) -> Took:
    """A job of small scans in one process."""
    cpu, read = door.cpu_seconds(), _answered(door)
    found = door.post("/v1/jobs", {"root": "small", "output": name, "executor": "serial"})
    door.ended(found["id"])
    cpu, read = door.cpu_seconds() - cpu, _answered(door) - read
    job = door.get(f"/v1/jobs/{found['id']}")
    assert job["state"] == "succeeded", job
    return Took(float(job["ended"] - job["started"]), cpu, read)


def _answered(door: Door) -> float:
    """Ranges that the service has answered."""
    found = _READ.search(door.text("/metrics"))
    return float(found[1]) if found else 0.0


@contextlib.contextmanager
def _readers(door: Door, path: str, priority: str) -> Iterator[None]:
    """Readers at work, in a process and a session of their own."""
    told = [door.url, door.token, path, priority]
    process = subprocess.Popen(
        [sys.executable, __file__, *told],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        before = _answered(door)
        while _answered(door) < before + READERS:  # all of them are there
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def _give_way() -> None:
    """Work where nobody else does. A session of its own has a priority of its own, too."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")


def main() -> None:
    """Read until somebody ends this."""
    url, token, path, priority = sys.argv[1:]
    if priority == "lowest":
        _give_way()
    door = Door(url, token, 0)
    asyncio.run(ranges(door, path, connections=READERS, seconds=3600, pause=_PAUSE))


if __name__ == "__main__":
    main()
