"""Jobs from their submission to their end: the only place where a job changes its state.

Each change is written to the job's folder before the database hears of it, and nothing is kept in memory
that the folder does not tell. So the service can die at any line of this file.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.host.failpoints import failpoint
from gpuprep.service.database import Database
from gpuprep.service.jobs import (
    EVENTS_FILE,
    JOBS_FOLDER,
    RESUMABLE,
    Asked,
    Job,
    JobFolder,
    State,
    new_id,
    tell,
)
from gpuprep.service.places import Places
from gpuprep.service.problems import Problem
from gpuprep.service.queue import Capacity, in_order, startable
from gpuprep.service.runner import Runner, last_lines
from gpuprep.service.settings import Settings
from gpuprep.values.errors import StoreFault

Listener = Callable[[Job], None]


class Dispatcher:
    """Takes jobs in, begins them when their turn comes, and notices how they end."""

    def __init__(self, folder: Path, settings: Settings, places: Places) -> None:
        self._jobs = folder / JOBS_FOLDER
        self._jobs.mkdir(exist_ok=True)
        self.all_events = folder / EVENTS_FILE
        """Every change of the state of any job."""
        self._settings = settings
        self._places = places
        self.capacity = Capacity.of(settings)
        self.database = Database(folder)
        self._runner = Runner(self._child_ended)
        self._listeners: list[Listener] = []
        self._devices: dict[str, tuple[int, ...]] = {}
        self._stopping = False

    def listen(self, listener: Listener) -> None:
        """Have every change of a job's state told."""
        self._listeners.append(listener)

    def folder_of(self, job_id: str) -> JobFolder:
        return JobFolder(self._jobs / job_id)

    def events_of(self, job_id: str) -> Path:
        return self._jobs / job_id / EVENTS_FILE

    def recover(self) -> None:
        """Find the jobs of an earlier life again: watch those at work, end or queue the others."""
        for job in self.database.working():
            folder = self.folder_of(job.id)
            if not self._runner.adopt(job.id, folder):
                self._settle(job, folder)
        for job in self.database.waiting():
            folder = self.folder_of(job.id)
            if folder.lives() and self._runner.adopt(job.id, folder):  # begun, and not written down
                self._change(job, "running")
            elif folder.end() is not None:
                self._settle(job, folder)
        self._start_next()

    def stop(self) -> None:
        """Leave the jobs to themselves, or have them finish their cases, as the settings say."""
        self._stopping = True
        if self._settings.on_stop == "drain":
            for job in self.database.working():
                self._runner.signal(self.folder_of(job.id))
        self._runner.close()
        self.database.close()

    def submit(self, job: Job) -> Job:
        """Accept a job for good. Raises Problem where the disk refuses or the queue is full."""
        waiting = sum(other.owner == job.owner for other in self.database.waiting())
        if waiting >= self._settings.limits.queued:
            raise Problem(
                429,
                f"{waiting} of your jobs wait; so many may",
                code="E_QUEUE_FULL",
                headers={"Retry-After": "60"},
            )
        job = replace(job, seq=self.database.next_seq())
        try:
            folder = JobFolder.make(self._jobs, job)
        except OSError as error:
            raise StoreFault(f"the job cannot be written down: {error.strerror}") from None
        failpoint("after_folder", job.id)
        try:
            job = self.database.add(job)
        except StoreFault:
            folder.remove()
            raise
        failpoint("after_insert", job.id)
        self._tell(job)
        self._start_next()
        return self.database.find(job.id) or job

    def cancel(self, job: Job) -> Job:
        """End a job: at once where it waits, else as soon as its process has cleared up."""
        if job.is_over or job.state == "cancelling":
            return job
        folder = self.folder_of(job.id)
        folder.cancel()
        failpoint("after_cancel", job.id)
        if not self._runner.has(job.id):
            return self._end(job, folder, "cancelled")
        changed = self._change(job, "cancelling")
        self._runner.signal(folder)
        return changed

    def resume(self, job: Job) -> Job:
        """Have a job that is over go on where it stopped; done cases are skipped.

        Raises:
            Problem: 409, it is not over, or all of it is done.
        """
        if not job.is_over:
            return job
        if job.state not in RESUMABLE:
            raise Problem(
                409, f"job {job.id} has {job.state}; there is nothing left to do", code="E_STATE"
            )
        self.folder_of(job.id).reopen()
        changed = self._change(job, "queued", restarts=0, started=0.0, ended=0.0)
        self._start_next()
        return self.database.find(changed.id) or changed

    def set_priority(self, job: Job, priority: int) -> Job:
        """Give a job that waits another place among its owner's."""
        changed = replace(job, priority=priority)
        self.folder_of(job.id).keep(changed)
        self.database.save(changed)
        return changed

    def place(self, job: Job) -> int:
        """Where a waiting job stands in the queue; 1 is the next."""
        order = in_order(self.database.waiting(), self.database.working())
        return next((k for k, other in enumerate(order, 1) if other.id == job.id), 0)

    def look(self) -> None:
        """Notice which of the jobs that were begun are at their run by now."""
        for job in self.database.working():
            if job.state == "starting" and self.folder_of(job.id).has_begun:
                self._change(job, "running")

    def _start_next(self) -> None:
        """Begin jobs as long as one may begin."""
        while not self._stopping:
            working = self.database.working()
            job = startable(self.database.waiting(), working, self.capacity)
            if job is None:
                return
            self._begin(job)

    def _begin(self, job: Job) -> None:
        folder = self.folder_of(job.id)
        if folder.is_cancelled:
            self._end(job, folder, "cancelled")
            return
        begun = self._change(job, "starting", started=time.time())
        devices = self._take_devices(job)
        try:
            self._runner.start(job.id, folder, self._start_of(job), devices)
        except OSError as error:
            self._end(begun, folder, "failed", f"no process could be started: {error.strerror}")
        except Problem as problem:
            self._end(begun, folder, "failed", problem.detail)

    def _start_of(self, job: Job) -> dict[str, Any]:
        """What the process of a job is told; paths are looked up now, as roots may have changed."""
        asked = job.asked
        clusters = self._settings.clusters
        if asked.executor not in ("local", "serial", *clusters):
            raise Problem(422, f"there is no executor {asked.executor!r} any more")
        confined = self._places.confined(asked.config, asked.root)
        cluster = (
            clusters[asked.executor].model_dump(mode="json") if asked.executor in clusters else None
        )
        return {
            "input": str(self._places.source(asked.root, asked.path)),
            "output": str(self._places.output(asked.output)),
            "config": {**confined, **({"cluster": cluster} if cluster else {})},
            "workers": None if asked.executor == "serial" else asked.workers,
            "scheduler": "serial" if asked.executor == "serial" else None,
            "only": list(asked.only),
            "limit": asked.limit,
            "overwrite": asked.overwrite and not job.restarts,
        }

    def _take_devices(self, job: Job) -> str:
        """As many of the service's CUDA devices as the job has workers, and are free."""
        taken = {device for held in self._devices.values() for device in held}
        free = [device for device in self.capacity.devices if device not in taken]
        mine = tuple(free[: job.asked.workers])
        self._devices[job.id] = mine
        return ",".join(map(str, mine))

    def _child_ended(self, job_id: str) -> None:
        """The process of a job is gone."""
        self._devices.pop(job_id, None)
        if self._stopping:
            return
        job = self.database.find(job_id)
        with suppress(StoreFault):
            if job is not None and not job.is_over:
                self._settle(job, self.folder_of(job_id))
            self._start_next()

    def _settle(self, job: Job, folder: JobFolder) -> None:
        """What becomes of a job whose process is gone: it ended, or it is begun again."""
        end = folder.end()
        if end is not None:
            self._change(job, end["state"], reason=end["reason"], ended=end["ended"])
        elif folder.lives():  # another process has it, which an earlier life started
            self._runner.adopt(job.id, folder)
        elif folder.is_cancelled:
            self._end(job, folder, "cancelled")
        elif job.restarts >= self._settings.limits.restarts:
            lines = last_lines(folder)
            self._end(job, folder, "failed", f"its process died {job.restarts + 1} times: {lines}")
        else:
            self._change(job, "queued", restarts=job.restarts + 1)

    def _end(self, job: Job, folder: JobFolder, state: State, reason: str = "") -> Job:
        folder.close(state, reason)
        return self._change(job, state, reason=reason, ended=time.time())

    def _change(self, job: Job, state: State, *, reason: str = "", **more: Any) -> Job:
        changed = replace(job, state=state, reason=reason, **more)
        self.database.save(changed)
        self._tell(changed)
        return changed

    def _tell(self, job: Job) -> None:
        event = f"job.{job.state}"
        self.folder_of(job.id).tell(event, reason=job.reason)
        tell(self.all_events, event, job=job.id, owner=job.owner, cohort=job.asked.output)
        for listener in self._listeners:
            listener(job)


def new_job(owner: str, asked: Asked, **more: Any) -> Job:
    """A job that nobody has heard of yet."""
    return Job(new_id(), owner, asked, time.time(), **more)


def digest_of(body: Any) -> str:
    """Tells whether two requests with one Idempotency-Key ask for the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
