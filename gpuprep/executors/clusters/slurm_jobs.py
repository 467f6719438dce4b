"""The jobs that a run wants, held against those that SLURM has.

The run's own list decides, and never Dask's: a job is missed until SLURM has another for it. All jobs of a
run have its name, so that one is known also where SLURM took it and did not say so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from gpuprep.executors.clusters.slurm_client import (
    Job,
    SlurmRefusal,
    cancel,
    jobs_named,
    past_state,
    submit,
)

_FIRST_PAUSE = 5.0  # after a refusal; the next one is twice as long
_LONGEST_PAUSE = 120.0
_COMPLETING_SECONDS = 300.0  # then a job gets a successor although a node cannot end it
_LAST_SECONDS = 20.0  # for the last word to SLURM
_LAST_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the jobs of a run stood at one look."""

    asked: float = float("-inf")
    """When SLURM was asked, of those times that it answered; as ``time.monotonic`` has it."""
    jobs: Mapping[str, Job] = field(default_factory=lambda: MappingProxyType({}))
    """Every job that the run has had, by its number, as SLURM last told of it."""
    silent: str = ""
    """What came instead of an answer; empty where SLURM answered."""
    refused: str = ""
    """Why SLURM did not take the last job that was handed in; empty where it did."""
    swept: int = 0
    """Jobs that an earlier run of the same output had left."""

    @property
    def unsettled(self) -> bool:
        """Whether SLURM should be asked again soon."""
        if self.silent or self.refused:
            return True
        return any(job.ends or (job.waits and not job.reason) for job in self.jobs.values())

    @property
    def waiting(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.waits]

    @property
    def living(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.lives]

    @property
    def reasons(self) -> str:
        """Why jobs wait, the most frequent reason first."""
        counted = Counter(job.reason for job in self.waiting if job.reason)
        return ", ".join(reason for reason, _ in counted.most_common())


class JobKeeper:
    """Keeps ``wanted`` jobs of one script in the queue. One thread at a time calls it."""

    def __init__(self, script: str, name: str, wanted: int) -> None:
        self._script = script
        self._name = name
        self._wanted = wanted
        self.standing = Standing()
        """What the last look gave."""
        self._strangers: set[str] | None = None  # of an earlier run
        self._completing: dict[str, float] = {}  # since when
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0

    def look(self) -> Standing:
        """Ask SLURM, and hand in what is missing."""
        asked = time.monotonic()
        try:
            seen, swept = self._seen()
        except SlurmRefusal as error:
            self.standing = replace(self.standing, silent=str(error))
            return self.standing
        known = self.standing.jobs
        lost = {each: _ended(known[each]) for each in known.keys() - seen.keys()}
        jobs = {**lost, **seen}
        refused = self._hand_in(jobs, asked)
        self.standing = Standing(asked, MappingProxyType(jobs), "", refused, swept)
        return self.standing

    def _seen(self) -> tuple[dict[str, Job], int]:
        """The jobs of this run, and how many of an earlier one were taken back."""
        seen, left = jobs_named(self._name), []
        if self._strangers is None:
            left = [number for number, job in seen.items() if job.lives]
            cancel(left)
            self._strangers = set(seen)
        for number, job in seen.items():  # SLURM keeps what it refused, as a job that failed
            if number not in self.standing.jobs and not (job.lives or job.ends):
                self._strangers.add(number)
        return {each: seen[each] for each in seen if each not in self._strangers}, len(left)

    def _hand_in(self, jobs: dict[str, Job], now: float) -> str:
        """Submit a job for each that is missing; what SLURM says where it refuses."""
        missing = self._wanted - sum(
            job.lives or self._may_return(job, now) for job in jobs.values()
        )
        if now < self._not_before:
            return self.standing.refused
        for _ in range(missing):
            try:
                number = submit(self._script)
            except SlurmRefusal as error:
                self._not_before = now + self._pause
                self._pause = min(_LONGEST_PAUSE, 2 * self._pause)
                return str(error)
            jobs[number] = Job(number, "PENDING")
            self._pause = _FIRST_PAUSE
        return ""

    def _may_return(self, job: Job, now: float) -> bool:
        """Whether a job is completing: SLURM may be about to queue it again."""
        if not job.ends:
            self._completing.pop(job.number, None)
            return False
        return now - self._completing.setdefault(job.number, now) < _COMPLETING_SECONDS

    def take_back(self) -> str:
        """Cancel every job; what SLURM says where it does not do so in time."""
        deadline = time.monotonic() + _LAST_SECONDS
        while True:
            try:
                cancel([number for number, job in jobs_named(self._name).items() if job.lives])
                return ""
            except SlurmRefusal as error:
                if time.monotonic() > deadline:
                    return str(error)
            time.sleep(_LAST_PAUSE)


def _ended(job: Job) -> Job:
    """A job that squeue has forgotten."""
    return replace(job, state=past_state(job.number)) if job.lives or job.ends else job
