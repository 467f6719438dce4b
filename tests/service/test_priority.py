"""A service interrupts none of its jobs: its thread waits where others work, and theirs take turns."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.serving import Served, serving

from gpuprep.host.priority import interrupt_nothing, take_turns


@pytest.fixture
def served(tmp_path: Path, cohort_folder: Path) -> Iterator[Served]:
    with serving(tmp_path / "folder", cohort_folder, GPUPREP_FAILPOINTS="job_begun=stop") as found:
        yield found


def children_of(pid: int) -> dict[int, str]:
    """The command lines of a process's children."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):  # it is gone
            continue
    return found


def test_a_job_is_not_interrupted_by_its_service(served: Served) -> None:
    job = served.submit(output="own")
    child = served.wait_for_child(job["id"])
    try:
        assert os.sched_getscheduler(served.process.pid) == os.SCHED_BATCH
        assert os.sched_getscheduler(child) == os.SCHED_OTHER
        others = children_of(served.process.pid)
        planner = next(pid for pid, line in others.items() if "jobs.rehearsal" in line)
        assert os.sched_getscheduler(planner) == os.SCHED_OTHER
        (reader,) = children_of(planner)
        assert os.sched_getscheduler(reader) == os.SCHED_OTHER
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_system_that_forbids_it_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    interrupt_nothing()
    take_turns()
    monkeypatch.delattr(os, "sched_setscheduler")
    interrupt_nothing()
