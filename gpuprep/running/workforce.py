"""Who does the work of a run: where, how many workers, with which engine and which share of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpuprep.config.cluster import ClusterSpec
from gpuprep.config.file import choose_scheduler
from gpuprep.config.model import Config
from gpuprep.executors.base import Executor
from gpuprep.host.backend import Backend, Name, choose_backend
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.host.surroundings import no_workers_because
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError
from gpuprep.values.events import Listener

if TYPE_CHECKING:  # Dask takes its time
    from gpuprep.executors.clusters.cluster import Cluster

_MOST_PER_CORE = 16
_SAMPLED_CASES = 3
_SCRATCH = ".cluster"


@dataclass(frozen=True, slots=True)
class Workforce:
    """What a run works with, resolved; ``starter`` gets it going."""

    cluster: ClusterSpec
    silence: float
    """Seconds without a sign of life after which a worker counts as dead."""
    serial: bool
    backend: Backend
    workers: int
    per_worker: int
    """Cases a worker has in hand at one time."""
    threads: int
    """Cores for each case."""
    memory: int
    """Bytes for each case."""
    note: str = ""
    """What is done otherwise than the config says, and why, for people."""

    @property
    def shares(self) -> int:
        """How many cases divide one memory: this machine's, or that of a worker elsewhere."""
        return self.workers * self.per_worker if self.cluster.kind == "local" else self.per_worker

    def task(
        self, case: Case, output: Path, digest: str, *, sources: str = "", url: str = ""
    ) -> CaseTask:
        """What a worker does with a case, whose files must lie in ``sources``; to be published at ``url``."""
        return CaseTask(
            case,
            str(output),
            digest,
            backend="auto" if self.backend.yields else self.backend.name,
            threads=self.threads,
            memory=self.memory,
            shares=self.shares,
            root=sources,
            url=url,
        )

    def starter(
        self, output: Path, cases: Sequence[Case], tell: Listener, *, url: str = ""
    ) -> Callable[[], Executor]:
        """What starts the executor for a cohort, and starts it afresh after that was closed.

        It raises UsageError when the cluster cannot be reached or started, or none of its workers is fit.

        Raises:
            UsageError: the cluster needs an output that is a folder, and this one is at ``url``.
        """
        if url and self.cluster.kind in ("ssh", "slurm"):
            raise UsageError(
                f"a cluster of kind {self.cluster.kind} keeps its keys and logs in the output folder, and "
                f"{url} is none",
                advice="give a folder that all hosts see, or start workers for cluster.kind existing",
            )
        if self.serial:
            from gpuprep.executors.serial import SerialExecutor

            return SerialExecutor
        from gpuprep.executors.admission import Terms
        from gpuprep.executors.dask import DaskExecutor

        sampled = (source.path for case in cases[:_SAMPLED_CASES] for source in case.images)
        sampled = (path for path in sampled if Path(path).exists())  # or no worker could see it
        terms = Terms(url or str(output), tuple(sampled), self.backend.name, self.memory)
        local = self.cluster.kind == "local"
        cluster = self._dask_cluster(output / _SCRATCH, tell)
        return partial(DaskExecutor, cluster, terms=None if local else terms, tell=tell)

    def _dask_cluster(self, scratch: Path, tell: Listener) -> Cluster:
        """The cluster that the config describes, not opened yet; its keys and job logs go to ``scratch``."""
        from gpuprep.executors.clusters.existing import ExistingScheduler
        from gpuprep.executors.clusters.kubernetes import KubernetesPods
        from gpuprep.executors.clusters.local import LocalProcesses
        from gpuprep.executors.clusters.slurm import SlurmJobs
        from gpuprep.executors.clusters.ssh import SshHosts

        if self.cluster.kind == "local":
            return LocalProcesses(
                self.silence, self.workers, per_worker=self.per_worker, devices=self.backend.devices
            )
        kinds: dict[str, type[Cluster]] = {
            "existing": ExistingScheduler,
            "ssh": SshHosts,
            "slurm": SlurmJobs,
            "kubernetes": KubernetesPods,
        }
        chosen = kinds[self.cluster.kind]
        return chosen(self.cluster, self.silence, workers=self.workers, scratch=scratch, tell=tell)


def muster(
    config: Config, *, scheduler: str | None, workers: int | None, backend: Name, cases: int
) -> Workforce:
    """The workforce for a run of so many cases; arguments that are given go before the config.

    Where no worker process can be had, and none was asked for by name, this process does the work.

    Raises:
        UsageError: it cannot be had.
    """
    serial, note = scheduler == "serial", ""
    cluster = config.cluster if serial else choose_scheduler(config.cluster, scheduler)
    if not serial and cluster.kind == "local" and (reason := no_workers_because()):
        if scheduler == "local":
            raise UsageError(
                f"no worker can be started: {reason}",
                advice="--scheduler serial does the cases in this process",
            )
        serial, note = True, f"one case at a time, in this process: {reason}"
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, not {workers}")
    workers = workers or cluster.workers
    if serial or cluster.kind == "local":
        here = _here(config, cluster, workers, choose_backend(backend), cases, serial=serial)
        return replace(here, note=note)
    chosen = (
        Backend("cupy", yields=True)  # a bad card among many costs its host's cases time
        if backend == "cupy"
        else Backend("numpy", "using NumPy on the workers; --backend cupy where they have GPUs")
    )
    hosts = len(cluster.ssh.hosts) if cluster.ssh else 1
    return Workforce(
        cluster,
        config.run.silence,
        serial=False,
        backend=chosen,
        workers=workers or hosts,
        per_worker=cluster.slots,
        threads=max(1, cluster.threads // cluster.slots),
        memory=cluster.bytes // cluster.slots,
    )


def _here(
    config: Config,
    cluster: ClusterSpec,
    workers: int | None,
    chosen: Backend,
    cases: int,
    *,
    serial: bool,
) -> Workforce:
    """This machine, divided among its workers."""
    most = _MOST_PER_CORE * available_cores()
    if workers is not None and workers > most:
        raise UsageError(f"{workers} workers are more than {_MOST_PER_CORE} per core ({most})")
    per_worker = config.cuda.slots if chosen.devices and not serial else 1
    number = 1 if serial else workers or len(chosen.devices) or available_cores()
    number = min(number, -(-cases // per_worker))
    slots = number * per_worker
    return Workforce(
        cluster,
        config.run.silence,
        serial=serial,
        backend=chosen,
        workers=number,
        per_worker=per_worker,
        threads=max(1, available_cores() // slots),
        memory=available_memory() // slots,
    )
