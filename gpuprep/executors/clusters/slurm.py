"""Workers as SLURM jobs, for as long as the run; the scheduler is in this process.

dask-jobqueue submits the jobs. It does not replace jobs that came to their end, so we look after them: a
worker leaves before its job's walltime, and a job that is gone from the queue gets a successor.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec, Slurm
from gpuprep.executors.clusters.cluster import (
    Cluster,
    cluster_settings,
    inherited,
    join,
    own_tls,
    tls_security,
)
from gpuprep.values.errors import RunStopped, UsageError

_EVERY_SECONDS = 15.0
_MARGIN = 0.1  # of the walltime, for the last case and the way out
_MOST_LOST = 5  # successors per job, with no worker up in between


class SlurmJobs(Cluster):
    """``workers`` jobs are kept in the queue, each with one worker."""

    patience = float("inf")  # a job may wait in the queue for as long as it takes
    _due = 0.0
    _lost = 0

    def _start(self, started: ExitStack) -> Client:
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError:
            raise UsageError(
                "clusters of kind slurm need dask-jobqueue", advice="pip install 'gpuprep[slurm]'"
            ) from None
        if shutil.which("sbatch") is None:
            raise UsageError(
                "there is no sbatch on this host", advice="start the run on a login node"
            )
        shutil.rmtree(self._scratch, ignore_errors=True)
        started.callback(shutil.rmtree, self._scratch / "tls", ignore_errors=True)
        spec = own_tls(self._spec, self._scratch / "tls")
        started.enter_context(dask.config.set(cluster_settings(spec, self._silence)))
        self._cluster = SLURMCluster(**job_options(spec, self._scratch))
        started.callback(self._cluster.close, timeout=20)
        self._cluster.scale(jobs=self._workers)
        return join(self._cluster, tls_security(spec.tls))

    def tend(self) -> None:
        """Put a job in the place of every one that is no longer in the queue.

        Raises:
            RunStopped: jobs end again and again without a worker coming up.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _EVERY_SECONDS
        # before the queue is asked, so that none is missed that is submitted in between
        jobs = {name: str(job.job_id) for name, job in self._cluster.workers.items() if job.job_id}
        queued = _queued_jobs()
        if queued is None:
            return
        gone = [name for name, number in jobs.items() if number not in queued]
        if self._cluster.scheduler_info["workers"]:
            self._lost = 0
        self._lost += len(gone)
        if self._lost > _MOST_LOST * self._workers:
            raise RunStopped(
                f"{self._lost} SLURM jobs ended and no worker came up",
                advice=f"their output is in {self._scratch / 'logs'}",
            )
        if gone:
            self._cluster.sync(self._cluster.scale_down, gone)
            self._cluster.scale(jobs=self._workers)


def job_options(spec: ClusterSpec, scratch: Path) -> dict[str, Any]:
    """Arguments of ``SLURMCluster``: one worker with all its slots per job, under TLS and our settings."""
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
        "job_name": "gpuprep",
    }


def _queued_jobs() -> set[str] | None:
    """Numbers of this user's jobs that wait or run; None when SLURM does not answer."""
    try:
        answer = subprocess.run(
            ["squeue", "--me", "--noheader", "--format=%A"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return set(answer.stdout.split())
