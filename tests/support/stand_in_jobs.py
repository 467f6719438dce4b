"""A dispatcher whose jobs' processes are stand-ins: this process plays them, and lets them end or die."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from gpuprep.host.owners import this_process
from gpuprep.service.jobs.dispatcher import Dispatcher, new_job
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Asked, Job, State
from gpuprep.service.jobs.runner import Runner
from gpuprep.service.places import Places
from gpuprep.service.settings import Settings


class StandIns(Runner):
    """Processes that never do anything; ``signals`` has what they were sent."""

    def __init__(self) -> None:
        super().__init__()
        self.signals: list[tuple[str, signal.Signals]] = []

    def start(self, job_id: str, folder: JobFolder, devices: str) -> None:
        assert not folder.lives(), f"{job_id} has a process already"
        folder.set_child(this_process())
        folder.begin()

    def signal(self, folder: JobFolder, number: signal.Signals = signal.SIGTERM) -> None:
        self.signals.append((folder.path.name, number))


def dispatcher(folder: Path, **limits: Any) -> Dispatcher:
    """A dispatcher over a folder, as after the start of a service; ``recover`` is for the caller."""
    (folder / "in").mkdir(parents=True, exist_ok=True)
    given = {"jobs": 2, "workers": 4, "memory": 100, **limits}
    settings = Settings(roots={"data": str(folder / "in")}, limits=given)  # type: ignore[arg-type]
    made = Dispatcher(folder, settings, Places(folder, settings))
    made._runner = StandIns()
    return made


def asked(output: str, owner: str = "ann", **more: Any) -> Job:
    """A job as a submission makes it."""
    names = ("workers", "executor", "overwrite")
    given = {"executor": "serial", **{name: more.pop(name) for name in names if name in more}}
    return new_job(owner, Asked("data", "", output, **given), **more)


def end(folder: JobFolder, state: State, reason: str = "", *, interrupted: bool = False) -> None:
    """The job's process ends with its last word."""
    folder.close(state, reason, interrupted=interrupted)
    die(folder)


def die(folder: JobFolder) -> None:
    """The job's process is killed."""
    folder.set_child({**this_process(), "started": "1"})
