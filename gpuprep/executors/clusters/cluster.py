"""Where Dask workers come from: one small file per kind of cluster behind one seam.

What is common to all kinds is here: how the coordinator's side sees a cluster, the settings that scheduler
and workers run under, the keys by which they know one another, and what a worker does before its first task.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
import distributed.utils
from distributed import Client, Security, WorkerPlugin

from gpuprep.config.cluster import ClusterSpec, Tls
from gpuprep.device.cuda import SHARERS
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.executors.shares import divide_memory_in
from gpuprep.values.errors import UsageError
from gpuprep.values.events import Listener

_INTERRUPTS = (signal.SIGINT, signal.SIGHUP)  # what a terminal sends to all its processes


@dataclass(frozen=True, slots=True)
class LostWorker:
    """A worker that is gone, and a task with it."""

    name: str
    address: str
    since: float
    """When it was missed, as ``time.monotonic`` has it."""
    replaced: bool
    """Whether its nanny has started another: then its host and its job are as they were."""

    @property
    def host(self) -> str:
        return urlsplit(self.address).hostname or ""


class Cluster(ABC):
    """Opened, tended while it works, closed. A closed one can be opened again, and starts afresh."""

    def __init__(
        self,
        spec: ClusterSpec,
        silence: float,
        *,
        workers: int = 1,
        scratch: Path | None = None,
        tell: Listener = lambda event: None,
    ) -> None:
        """Describe a cluster; nothing is started yet.

        Args:
            silence: Seconds without a sign of life after which a worker counts as dead.
            workers: Workers to keep up, where that is for this kind to do.
            scratch: A folder that all hosts see, for keys and job logs; made when needed.
            tell: Hears what a person should know of it.
        """
        self._spec = spec
        self._silence = silence
        self._workers = workers
        self._scratch = scratch or Path()
        self._tell = tell
        self._started = ExitStack()

    @property
    def patience(self) -> float:
        """Seconds without any worker after which nothing more is to be expected."""
        return self._spec.patience

    def open(self) -> Client:
        """A client of the cluster's scheduler. Workers may join later, and come and go.

        Raises:
            UsageError: the cluster cannot be reached or started as it is described.
        """
        silence_tornado()
        with ExitStack() as started:
            started.enter_context(dask_silenced())
            client = self._start(started)
            started.callback(client.close, timeout=5)
            self._started = started.pop_all()
        return client

    @abstractmethod
    def _start(self, started: ExitStack) -> Client:
        """Start what is needed and join it; ``started`` takes down what is up, also after an error."""

    def tend(self) -> None:  # noqa: B027  most kinds have nothing to do
        """Put workers in the place of lost ones, where nothing else does; called every few seconds."""

    @property
    def waiting(self) -> str:
        """What a run without any worker waits for."""
        return "a worker"

    def fate(self, lost: LostWorker) -> str | None:
        """Who took a worker away that a task was lost with: such a task has not failed.

        Returns:
            What was done to it, in words; empty where nothing tells that it did not die of its task; None
            where that will be known later.
        """
        return ""

    def close(self, *, kill: bool) -> None:
        """Let go of the client and of what ``open`` started; ``kill`` does not wait for tasks."""
        self._started.close()


def cluster_settings(spec: ClusterSpec, silence: float) -> dict[str, Any]:
    """Dask's configuration for everything that belongs to a cluster of ours.

    A worker that gives no sign of life for ``silence`` seconds counts as dead. One death of a worker is
    reported at once, for the coordinator decides who is to blame. Workers hold no big results, so that
    spilling and pausing could only hang them.
    """
    return {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.worker-ttl": f"{silence} seconds",
        "distributed.scheduler.no-workers-timeout": f"{spec.patience} seconds",
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.admin.low-level-log-length": 100,  # whole messages, with the tasks in them
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.diagnostics.nvml": False,
        "distributed.comm.timeouts.connect": "15 seconds",
        "distributed.comm.timeouts.tcp": "15 seconds",
        "distributed.comm.retry.count": 2,
        "distributed.nanny.pre-spawn-environ": {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "MALLOC_TRIM_THRESHOLD_": "65536",
        },
        **_tls_settings(spec.tls),
    }


def inherited() -> dict[str, str]:
    """The environment that gives Dask's processes on other hosts the settings of this one."""
    return {"DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(dask.config.global_config)}


def _tls_settings(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    files = _existing_files(tls)
    settings: dict[str, Any] = {
        "distributed.comm.require-encryption": True,
        "distributed.comm.default-scheme": "tls",
        "distributed.comm.tls.ca-file": files["ca"],
    }
    for role in ("client", "scheduler", "worker"):
        settings[f"distributed.comm.tls.{role}.cert"] = files["cert"]
        settings[f"distributed.comm.tls.{role}.key"] = files["key"]
    return settings


def tls_security(tls: Tls | None) -> Security:
    """Mutual TLS with the given files; without any, nothing is encrypted.

    Raises:
        UsageError: one of the files is not there.
    """
    if tls is None:
        return Security(require_encryption=False)
    with dask.config.set(_tls_settings(tls)):
        return Security()


def own_tls(spec: ClusterSpec, folder: Path) -> ClusterSpec:
    """The cluster with key files: its own, or some made in a folder that all its hosts see."""
    if spec.tls is not None:
        return spec
    ca, cert, key = make_certificates(folder)
    return spec.model_copy(update={"tls": Tls(ca=str(ca), cert=str(cert), key=str(key))})


def _existing_files(tls: Tls) -> dict[str, str]:
    paths = {name: Path(text).expanduser().absolute() for name, text in tls}
    for name, path in paths.items():
        if not path.is_file():
            raise UsageError(
                f"cluster.tls.{name}: there is no file {path}",
                advice="gpuprep certificates FOLDER makes all three; copy them to every host",
            )
    return {name: str(path) for name, path in paths.items()}


def join(
    where: Any,
    security: Security | None = None,
    *,
    devices: Mapping[str, str] | None = None,
    folder: str = "",
    seconds: float = 30.0,
) -> Client:
    """A client of a scheduler, given by its address or Dask's cluster object, whose workers are prepared.

    ``devices`` are by the names of workers, as ``CUDA_VISIBLE_DEVICES`` has them. Those on one
    host that divide its memory do so in ``folder``; without it, each has its own.
    """
    client = Client(where, security=security, timeout=seconds, set_as_default=False)
    client.register_plugin(_Preparation(devices or {}, folder))
    return client


class _Preparation(WorkerPlugin):  # type: ignore[misc]
    """Take a CUDA device where some are given, meet the others that divide the memory, and leave
    Ctrl-C and the closed terminal to the coordinator, which drains; a worker that died of them would lose
    its cases."""

    name = "gpuprep-preparation"

    def __init__(self, devices: Mapping[str, str], folder: str) -> None:
        self._devices = dict(devices)
        self._folder = folder

    def setup(self, worker: Any) -> None:
        own = self._devices.get(str(worker.name))
        if own is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = own
            os.environ[SHARERS] = str(list(self._devices.values()).count(own))
        divide_memory_in(self._folder or worker.local_directory)
        silence_tornado()
        if threading.current_thread() is threading.main_thread():
            for number in _INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def _renew_offloading() -> None:
    """In a forked process: Dask's one thread for long work is the parent's, and would never answer here."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="Dask-Offload")
    distributed.utils._offload_executor = pool


os.register_at_fork(after_in_child=_renew_offloading)


@contextmanager
def dask_silenced() -> Iterator[None]:
    """What Dask's scheduler and client log of lost workers is ours to tell; inside they log nothing."""
    own = (logging.getLogger(name) for name in ("distributed", "distributed.client"))
    handlers = [each for logger in own for each in logger.handlers]
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


def silence_tornado() -> None:
    """Heartbeats that meet a closed connection while a cluster shuts down are logged with tracebacks."""
    for name in ("tornado.application", "asyncio", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
