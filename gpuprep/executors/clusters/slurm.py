"""Workers as SLURM jobs, for as long as the run; the scheduler is in this process.

dask-jobqueue writes the job script and starts the scheduler; the jobs are handed in and looked after here. A
worker leaves before its job's walltime, and a job that is gone gets a successor. SLURM is asked in a thread
of its own, since it may take a minute to say that it does not answer.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec, Slurm
from gpuprep.executors.clusters.cluster import (
    Cluster,
    LostWorker,
    cluster_settings,
    inherited,
    join,
    own_tls,
    tls_security,
)
from gpuprep.executors.clusters.slurm_jobs import JobKeeper, Standing
from gpuprep.executors.clusters.slurm_patience import SlurmPatience
from gpuprep.host.signals import signals_kept
from gpuprep.values.errors import UsageError
from gpuprep.values.events import Notice

_EVERY_SECONDS = 15.0
_AGAIN_SECONDS = 5.0  # where SLURM has refused, or has not done yet
_SOON_SECONDS = 2.0  # where it matters how a job ended
_MARGIN = 0.1  # of the walltime, for the last case and the way out
_ANY_NAME = "--name dummy-name"  # of a worker in dask-jobqueue's script
_NAMED = r"gpuprep-(\d+)-(\d+)"  # by its job, and how often that was started again
_OWN_NAME = "--name gpuprep-${SLURM_JOB_ID}-${SLURM_RESTART_COUNT:-0}"


class SlurmJobs(Cluster):
    """``workers`` jobs are kept in the queue, each with one worker."""

    patience = float("inf")  # tending ends the run, and says what SLURM said

    def _start(self, started: ExitStack) -> Client:
        with signals_kept():  # dask-jobqueue sets an action of its own for Ctrl-C
            try:
                from dask_jobqueue import SLURMCluster
            except ImportError:
                raise UsageError(
                    "clusters of kind slurm need dask-jobqueue",
                    advice="pip install 'gpuprep[slurm]'",
                ) from None
        if shutil.which("sbatch") is None:
            raise UsageError(
                "there is no sbatch on this host", advice="start the run on a login node"
            )
        shutil.rmtree(self._scratch, ignore_errors=True)
        started.callback(shutil.rmtree, self._scratch / "tls", ignore_errors=True)
        spec = own_tls(self._spec, self._scratch / "tls")
        started.enter_context(dask.config.set(cluster_settings(spec, self._silence)))
        options = job_options(spec, self._scratch)
        self._cluster = SLURMCluster(**options)
        started.callback(self._cluster.close, timeout=20)
        script = self._cluster.job_script().replace(_ANY_NAME, _OWN_NAME)
        self._standing = Standing()
        self._judge = SlurmPatience(spec, self._workers, self._scratch / "logs", self._tell)
        self._keeper = JobKeeper(script, options["job_name"], self._workers)
        self._thread = ThreadPoolExecutor(1, "slurm")
        started.callback(self._take_back)
        self._look()
        return join(self._cluster, tls_security(spec.tls))

    def _look(self) -> None:
        self._due = time.monotonic() + _EVERY_SECONDS
        self._looked: Future[Standing] = self._thread.submit(self._keeper.look)

    def tend(self) -> None:
        """Put a job in the place of every one that is gone, and tell what holds jobs up.

        Raises:
            RunStopped: there has been no worker for longer than the run has patience.
        """
        if self._looked.done():
            self._standing = self._looked.result()
            if self._standing.unsettled:
                self._due = min(self._due, time.monotonic() + _AGAIN_SECONDS)
            if time.monotonic() >= self._due:
                self._look()
        self._judge.see(self._standing, workers=len(self._cluster.scheduler_info["workers"]))

    @property
    def waiting(self) -> str:
        return f"SLURM: {self._judge.why(self._standing)}"

    def fate(self, lost: LostWorker) -> str | None:
        """SLURM's own word on the job, which a node that is lost may make wait for some minutes."""
        named = re.fullmatch(_NAMED, lost.name)
        if lost.replaced or named is None:
            return ""
        if self._standing.asked < lost.since or self._standing.silent:
            self._due = min(self._due, time.monotonic() + _SOON_SECONDS)
            return None
        number, restarts = named.groups()
        job = self._standing.jobs.get(number)
        if job is None:
            return ""
        if word := job.taken_from(int(restarts)):
            return f"SLURM ended job {number} ({word})"
        if job.ends or job.lives:
            self._due = min(self._due, time.monotonic() + _SOON_SECONDS)
            return None
        return ""

    def _take_back(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if words := self._keeper.take_back():
            numbers = " ".join(job.number for job in self._keeper.standing.living)
            self._tell(Notice(f"SLURM did not take the jobs back: {words}; try scancel {numbers}"))


def job_options(spec: ClusterSpec, scratch: Path) -> dict[str, Any]:
    """Arguments of ``SLURMCluster``: one worker with all its slots per job, under TLS and our settings.

    The name of the jobs is that of their output, which one run at a time works on.
    """
    slurm = spec.slurm or Slurm()
    margin = max(60, int(slurm.seconds * _MARGIN))
    lifetime = max(30, slurm.seconds - margin)
    return {
        "cores": spec.slots,
        "job_cpu": max(spec.threads, spec.slots),
        "processes": 1,
        "memory": f"{spec.bytes}B",
        "walltime": slurm.walltime,
        "queue": slurm.queue or None,
        "account": slurm.account or None,
        "interface": slurm.interface or None,
        "job_extra_directives": list(slurm.directives),
        "job_script_prologue": [f"export {name}={text}" for name, text in inherited().items()]
        + list(slurm.prologue),
        "worker_extra_args": [
            *("--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{margin // 2}s"),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        ],
        "scheduler_options": {"dashboard": False, "dashboard_address": "127.0.0.1:0"},
        "protocol": "tls://",
        "security": tls_security(spec.tls),
        "log_directory": str(scratch / "logs"),
        "job_name": f"gpuprep-{hashlib.sha256(str(scratch.resolve()).encode()).hexdigest()[:8]}",
        "silence_logs": False,
    }
