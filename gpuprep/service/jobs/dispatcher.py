"""Jobs from their submission to their end: the only place where a job changes its state.

What counts is in the job's folder, and nothing is kept in memory that the folder does not tell. So the
service can die at any line of this file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.host.failpoints import failpoint
from gpuprep.host.owners import is_gone
from gpuprep.service.jobs.child import LATE
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import RESUMABLE, Asked, Job, new_id
from gpuprep.service.jobs.queue import in_order, startable
from gpuprep.service.jobs.runner import Runner, last_lines
from gpuprep.service.jobs.starting import Starting
from gpuprep.service.jobs.states import States, on_disk
from gpuprep.service.places import Places
from gpuprep.service.problems import Problem
from gpuprep.service.settings import Settings
from gpuprep.values.errors import GpuprepError, StoreFault

_REST_SECONDS = 2.0  # after the disk refused, before the next job is begun
_LATE_SECONDS = (
    20.0  # behind its drain, until a job that is cancelled is told again, and then killed
)
_log = logging.getLogger("gpuprep.service")


class Dispatcher(States):
    """Takes jobs in, begins them when their turn comes, and notices how they end."""

    def __init__(self, folder: Path, settings: Settings, places: Places) -> None:
        super().__init__(folder)
        self._settings = settings
        self._starting = Starting(settings, places)
        self.capacity = self._starting.capacity
        self._runner = Runner()
        self._seen_version = -1
        self._rests_until = 0.0
        self._told: dict[str, tuple[float, int]] = {}
        self._order: tuple[int, dict[str, int]] = (-1, {})
        self._stopping = False

    @property
    def devices_taken(self) -> int:
        """How many of the service's CUDA devices jobs have."""
        return self._starting.devices_taken

    def recover(self) -> None:
        """Find the jobs of an earlier life again: watch those at work, end or queue the others."""
        last = self.database.last_ended()
        if last is not None:  # the service may have died before it told
            self.folder_of(last.id).tell(f"job.{last.state}", reason=last.reason)
        for job in (*self.database.working(), *self.database.waiting()):
            folder = self.folder_of(job.id)
            with self._postponed(job):
                if self._runner.is_at_work(job.id, folder):
                    self._starting.found(job, folder)
                    if folder.is_cancelled:
                        self._tell_to_end(self._change(job, "cancelling"), folder)
                    elif job.state == "queued":
                        self._change(job, "starting", started=folder.start().get("started", 0.0))
                elif job.state != "queued" or folder.is_cancelled or folder.child() or folder.end():
                    self._settle(job, folder, earlier=True)
        self._start_next()

    def stop(self) -> None:
        """Leave the jobs to themselves, or have them finish their cases, as the settings say."""
        self._stopping = True
        if self._settings.on_stop == "drain":
            for job in self.database.working():
                self.folder_of(job.id).drain()
                self._runner.signal(self.folder_of(job.id))
        self.close()

    def submit(self, job: Job, check: Callable[[], None] = lambda: None) -> Job:
        """Accept a job for good, unless ``check`` raises.

        Raises:
            Problem: 429, too many wait; 503, the disk refuses, and nothing is left of the job.
        """
        check()
        waiting = sum(other.owner == job.owner for other in self.database.waiting())
        if waiting >= self._settings.limits.queued:
            raise Problem(
                429,
                f"{waiting} of your jobs wait; so many may",
                code="E_QUEUE_FULL",
                headers={"Retry-After": "60"},
            )
        with on_disk():
            job = replace(job, seq=self.database.next_seq())
            folder = JobFolder.make(self._jobs, job)
            failpoint("after_folder", job.id)
            try:
                job = self.database.add(job)
            except StoreFault:
                folder.remove()
                raise
        failpoint("after_insert", job.id)
        self._tell(job)
        self._start_next()
        return self._now(job)

    def cancel(self, job: Job) -> Job:
        """End a job: at once where it waits, else as soon as its process has cleared up."""
        job = self._now(job)
        if job.is_over or job.state == "cancelling":
            return job
        folder = self.folder_of(job.id)
        with on_disk():
            folder.cancel()
            failpoint("after_cancel", job.id)
            if not self._runner.is_at_work(job.id, folder):
                self._settle(job, folder)
                return self._now(job)
            changed = self._change(job, "cancelling")
            self._tell_to_end(changed, folder)
        return changed

    def resume(self, job: Job) -> Job:
        """Have a job that is over go on where it stopped; done cases are skipped.

        Raises:
            Problem: 409, it is not over, or all of it is done.
        """
        job = self._now(job)
        if not job.is_over:
            return job
        if job.state not in RESUMABLE:
            raise Problem(
                409, f"job {job.id} has {job.state}; there is nothing left to do", code="E_STATE"
            )
        with on_disk():
            self._change(job, "queued", restarts=0, started=0.0, ended=0.0)
            failpoint("mid_resume", job.id)
            try:
                self.folder_of(job.id).reopen()
            except OSError:
                self._change(job, job.state, reason=job.reason)
                raise
        self._start_next()
        return self._now(job)

    def set_priority(self, job: Job, priority: int) -> Job:
        """Give a job that waits another place among its owner's."""
        job = self._now(job)
        if job.state != "queued":
            raise Problem(409, f"job {job.id} is {job.state}, not queued", code="E_STATE")
        changed = replace(job, priority=priority)
        with on_disk():
            self.folder_of(job.id).keep(changed)
            self.database.save(changed)
        return changed

    def place(self, job: Job) -> int:
        """Where a waiting job stands in the queue; 1 is the next, 0 is none."""
        version, places = self._order
        if version != self.database.version:
            version = self.database.version
            order = in_order(self.database.waiting(), self.database.working())
            places = {other.id: k for k, other in enumerate(order, 1)}
            self._order = version, places
        return places.get(job.id, 0)

    def look(self) -> None:
        """Notice what became of the jobs at work, and begin those whose turn it is."""
        with self._postponed():
            self.database.mend()
        for job in self.database.working():
            with self._postponed(job):
                self._look_at(job, self.folder_of(job.id))
        if self.database.version != self._seen_version:
            self._start_next()

    def _look_at(self, job: Job, folder: JobFolder) -> None:
        if not self._runner.is_at_work(job.id, folder):
            self._settle(job, folder)
        elif job.state == "starting" and folder.has_begun:
            self._change(job, "running")
        elif job.state == "cancelling" and job.id in self._told:
            until, times = self._told[job.id]
            if time.monotonic() > until:
                number = signal.SIGTERM if times == 1 else signal.SIGKILL
                self._runner.signal(folder, number)
                self._told[job.id] = time.monotonic() + _LATE_SECONDS, times + 1

    def _tell_to_end(self, job: Job, folder: JobFolder) -> None:
        drain = parse_config(dict(job.asked.config), "config").run.drain
        self._told[job.id] = time.monotonic() + drain + _LATE_SECONDS, 1
        self._runner.signal(folder)

    def _start_next(self) -> None:
        """Begin jobs as long as one may begin; a disk that refuses is tried again in a while."""
        if time.monotonic() < self._rests_until:
            return
        try:
            while not self._stopping:
                self._seen_version = self.database.version
                waiting, working = self.database.waiting(), self.database.working()
                job = startable(waiting, working, self.capacity)
                if job is None:
                    return
                with on_disk():
                    self._begin(job, self.folder_of(job.id))
        except StoreFault as error:
            _log.warning("no job can be begun: %s", error)
            self._seen_version = -1
            self._rests_until = time.monotonic() + _REST_SECONDS

    def _begin(self, job: Job, folder: JobFolder) -> None:
        if folder.is_cancelled:
            self._end(job, folder, "cancelled")
            return
        if not folder.path.is_dir():
            self._change(job, "failed", reason="its folder is gone", ended=time.time())
            return
        begun = replace(job, started=time.time())
        try:
            devices = self._starting.write(begun, folder)
        except (Problem, GpuprepError) as problem:
            if isinstance(problem, StoreFault):
                raise
            self._end(job, folder, "failed", str(problem))
            return
        begun = self._change(begun, "starting")
        try:
            self._runner.start(job.id, folder, devices)
        except OSError:
            self._change(job, "queued")
            raise

    def _settle(self, job: Job, folder: JobFolder, *, earlier: bool = False) -> None:
        """What becomes of a job whose process is gone: it ended, or it is begun again.

        Args:
            earlier: It went while no service was there to see it; the machine may have been shut down.
        """
        self._starting.free(job.id)
        self._told.pop(job.id, None)
        end = folder.end()
        if end is not None and job.state == "cancelling" and end.state != "cancelled":
            late = end.state in ("succeeded", "succeeded_with_failures")
            self._end(job, folder, "cancelled", LATE * late)
        elif end is not None and not end.interrupted:
            self._change(job, end.state, reason=end.reason, ended=end.ended)
        elif folder.is_cancelled:
            self._end(job, folder, "cancelled")
        elif not folder.path.is_dir():
            self._change(job, "failed", reason="its folder is gone", ended=time.time())
        elif end is not None:
            self._again(job, folder, counted=not (earlier or folder.is_drained))
        else:
            child = folder.child()
            died = (
                child is not None and is_gone(child) is True
            )  # else with the machine, or before it began
            self._again(job, folder, counted=died or not earlier)

    def _again(self, job: Job, folder: JobFolder, *, counted: bool) -> None:
        if counted and job.restarts >= self._settings.limits.restarts:
            lines = last_lines(folder)
            self._end(job, folder, "failed", f"its process died {job.restarts + 1} times: {lines}")
            return
        folder.reopen()
        self._change(job, "queued", restarts=job.restarts + counted)

    @contextmanager
    def _postponed(self, job: Job | None = None) -> Iterator[None]:
        """What the disk refuses now is looked at again the next time."""
        try:
            with on_disk():
                yield
        except StoreFault as error:
            if time.monotonic() > self._rests_until:
                _log.warning("%s: %s", f"job {job.id}" if job else "the list of jobs", error)
                self._rests_until = time.monotonic() + _REST_SECONDS


def new_job(owner: str, asked: Asked, **more: Any) -> Job:
    """A job that nobody has heard of yet."""
    return Job(new_id(), owner, asked, time.time(), **more)


def digest_of(body: Any) -> str:
    """Tells whether two requests with one Idempotency-Key ask for the same."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
