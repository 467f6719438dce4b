"""The states of all jobs: kept in their folders and in the list, told to whoever listens.

All changes are made in one thread (``keep``), so that a slow disk holds up no answer to anybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from gpuprep.service.jobs.database import Database
from gpuprep.service.jobs.folder import JOBS_FOLDER, JobFolder
from gpuprep.service.jobs.job import EVENTS_FILE, Job, State, tell
from gpuprep.values.errors import StoreFault

Listener = Callable[[Job], None]
P = ParamSpec("P")
T = TypeVar("T")


class States:
    """The jobs of a service and how each stands."""

    def __init__(self, folder: Path) -> None:
        self._jobs = folder / JOBS_FOLDER
        self._jobs.mkdir(exist_ok=True)
        self.all_events = folder / EVENTS_FILE
        """Every change of the state of any job."""
        self.database = Database(folder)
        self._listeners: list[Listener] = []
        self._thread = ThreadPoolExecutor(1, "jobs")
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        self.database.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def keep(self, change: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do something to jobs in the thread that alone may; listeners are told in the caller's."""
        self._loop = asyncio.get_running_loop()
        return await self._loop.run_in_executor(self._thread, lambda: change(*given, **named))

    def listen(self, listener: Listener) -> None:
        """Have every change of a job's state told."""
        self._listeners.append(listener)

    def folder_of(self, job_id: str) -> JobFolder:
        return JobFolder(self._jobs / job_id)

    def events_of(self, job_id: str) -> Path:
        return self._jobs / job_id / EVENTS_FILE

    def _end(self, job: Job, folder: JobFolder, state: State, reason: str = "") -> None:
        end = folder.close(state, reason)
        self._change(job, state, reason=end.reason, ended=end.ended)

    def _change(self, job: Job, state: State, *, reason: str = "", **more: Any) -> Job:
        changed = replace(job, state=state, reason=reason, **more)
        self.database.save(changed, self._tell)
        return changed

    def _now(self, job: Job) -> Job:
        return self.database.find(job.id) or job

    def _tell(self, job: Job) -> None:
        event = f"job.{job.state}"
        self.folder_of(job.id).tell(event, reason=job.reason)
        tell(self.all_events, event, job=job.id, owner=job.owner, cohort=job.asked.output)
        for listener in self._listeners:
            if self._loop is None:
                listener(job)
            else:
                with suppress(RuntimeError):  # the loop is at its end, and so is the service
                    self._loop.call_soon_threadsafe(listener, job)


@contextmanager
def on_disk() -> Iterator[None]:
    """Makes what a disk refuses a StoreFault: the service's trouble, not the client's."""
    try:
        yield
    except OSError as error:
        raise StoreFault(f"the service's disk refuses: {error.strerror}") from None
