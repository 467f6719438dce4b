"""What a person hears of the jobs, and for how long a run without any worker goes on."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

from gpuprep.config.cluster import ClusterSpec, Slurm
from gpuprep.executors.clusters.slurm_jobs import Standing
from gpuprep.values.errors import RunStopped
from gpuprep.values.events import Listener, Notice

_MOST_LOST = 5  # successors per job, with no worker up in between
_COMPLETED = "COMPLETED"  # its worker left in time


class SlurmPatience:
    """Sees how the jobs stand, again and again."""

    def __init__(self, spec: ClusterSpec, jobs: int, logs: Path, tell: Listener) -> None:
        slurm = spec.slurm or Slurm()
        self._limits = {
            "refused": spec.patience,
            "silent": spec.patience,
            "waiting": slurm.pending,
            "joining": spec.patience,
        }
        self._jobs = jobs
        self._logs = logs
        self._tell = tell
        self._told: set[str] = set()
        self._spent: defaultdict[str, float] = defaultdict(float)
        """Seconds without a worker, by what was to blame."""
        self._seen = time.monotonic()
        self._ended = 0  # jobs, when there was a worker

    def see(self, standing: Standing, *, workers: int) -> None:
        """Tell what is new.

        Raises:
            RunStopped: there has been no worker for too long, or jobs end and end without one.
        """
        self._notice(standing)
        now = time.monotonic()
        passed, self._seen = now - self._seen, now
        ended = sum(not (job.lives or job.ends) for job in standing.jobs.values())
        if workers:
            self._spent.clear()
            self._ended = ended
            return
        cause = self._cause(standing)
        self._spent[cause] += passed
        if self._spent[cause] > self._limits[cause]:
            raise RunStopped(self._words(cause, standing), advice=self._advice(cause))
        if ended - self._ended > _MOST_LOST * self._jobs:
            raise RunStopped(
                f"{ended - self._ended} SLURM jobs ended and no worker came up",
                advice=f"their output is in {self._logs}",
            )

    def why(self, standing: Standing) -> str:
        """Why there is no worker, in a few words."""
        return {
            "refused": f"no job was taken: {standing.refused}",
            "silent": f"no answer: {standing.silent}",
            "waiting": standing.reasons or "its jobs are queued",
            "joining": "its jobs start",
        }[self._cause(standing)]

    def _cause(self, standing: Standing) -> str:
        if standing.silent:
            return "silent"
        if standing.refused and not standing.living:
            return "refused"
        return "waiting" if len(standing.waiting) == len(standing.living) else "joining"

    def _words(self, cause: str, standing: Standing) -> str:
        spent = f"for {self._spent[cause]:.0f} s"
        return {
            "refused": f"SLURM has taken no job {spent}: {standing.refused}",
            "silent": f"SLURM has not answered {spent}: {standing.silent}",
            "waiting": f"no SLURM job has started {spent}: {standing.reasons or 'no reason was told'}",
            "joining": f"SLURM jobs run, and none of their workers has joined {spent}",
        }[cause]

    def _advice(self, cause: str) -> str:
        return {
            "refused": "check queue, account and directives in cluster.slurm",
            "silent": "run the same command again when squeue answers; finished cases are kept",
            "waiting": "cluster.slurm.pending is how many seconds jobs may wait",
            "joining": f"their output is in {self._logs}; cluster.slurm.interface names the network",
        }[cause]

    def _notice(self, standing: Standing) -> None:
        """Each thing is told once."""
        said = {}
        if standing.swept:
            said["swept"] = f"{standing.swept} SLURM jobs of an earlier run were cancelled"
        if standing.silent:
            said[standing.silent] = f"SLURM does not answer: {standing.silent}; it is asked again"
        if standing.refused:
            said[standing.refused] = f"SLURM takes no job: {standing.refused}; it is asked again"
        if standing.waiting and standing.reasons:
            number = f"{len(standing.waiting)} of {self._jobs} SLURM jobs wait"
            said[standing.reasons] = f"{number}: {standing.reasons}"
        for job in standing.jobs.values():
            if not (job.lives or job.ends or job.state == _COMPLETED):
                text = f"SLURM job {job.number} ended ({job.state or 'nothing tells how'})"
                said[f"{job.number} ended"] = f"{text}; another takes its place"
        for each, text in said.items():
            if each not in self._told:
                self._told.add(each)
                self._tell(Notice(text))
