"""Runs plans on Dask worker processes of this machine; the only file that imports Dask.

Loopback and mutual TLS only, no dashboard. At most a window of tasks is known to the scheduler, each
under a key of its own: Dask blames every task assigned to a worker that dies, so few may be assigned.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import signal
import tempfile
import threading
import uuid
import warnings
from contextlib import suppress
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, Security, WorkerPlugin
from distributed.scheduler import KilledWorker

from gpuprep.events import CaseFailed
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import explain, perform_in_slot
from gpuprep.plan import CasePlan

_MAX_DEATHS = 2  # workers one case may take down before it is called the cause
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.worker-ttl": "5 minutes",
    "distributed.scheduler.no-workers-timeout": "10 minutes",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.comm.retry.count": 3,
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MALLOC_TRIM_THRESHOLD_": "65536",
    },
}


class _Preparation(WorkerPlugin):  # type: ignore[misc]
    """What every worker does first: take its CUDA device, and leave Ctrl-C to the coordinator, which
    drains; a worker that died of it would lose its cases."""

    name = "gpuprep-preparation"

    def __init__(self, devices: tuple[str, ...]) -> None:
        self._devices = devices

    def setup(self, worker: Any) -> None:
        if self._devices:
            own = self._devices[int(worker.name) % len(self._devices)]
            os.environ["CUDA_VISIBLE_DEVICES"] = own
        _silence_tornado()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _silence_tornado() -> None:
    """Heartbeats that meet a closed connection while a cluster shuts down are logged with tracebacks."""
    for name in ("tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class DaskExecutor:
    """Worker processes on this machine behind a Dask scheduler, each with one or more slots.

    Workers take turns over the CUDA devices, where there are any.
    """

    def __init__(self, workers: int, *, per_worker: int = 1, devices: tuple[str, ...] = ()) -> None:
        self.slots = workers * per_worker
        self._scratch = tempfile.mkdtemp(prefix="gpuprep-")
        self._finished: queue.SimpleQueue[tuple[Future, CasePlan]] = queue.SimpleQueue()
        self._running: dict[str, tuple[Future, CasePlan]] = {}  # a dropped future is cancelled
        self._deaths: dict[str, int] = {}
        self._settings = dask.config.set(_SETTINGS)  # until closed
        try:
            self._cluster, self._client = self._start(workers, per_worker, devices)
        except BaseException:
            self._clear()
            raise

    def _start(
        self, workers: int, per_worker: int, devices: tuple[str, ...]
    ) -> tuple[LocalCluster, Client]:
        _silence_tornado()
        security = Security.temporary()
        with _interrupts_ignored(), warnings.catch_warnings():  # the workers inherit the first
            warnings.simplefilter("ignore")  # a busy disk or port is nothing a user should act on
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=per_worker,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                # without a dashboard a plain HTTP server still listens: on any free port, with no routes
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                local_directory=self._scratch,
                memory_limit=0,
                silence_logs=50,
            )
        for nanny in cluster.workers.values():
            nanny.auto_restart = False  # a restarted one may hang with tasks; the others take over
        client = Client(cluster, security=security, set_as_default=False)
        client.register_plugin(_Preparation(devices))
        return cluster, client

    @property
    def inflight(self) -> int:
        return len(self._running)

    def submit(self, plan: CasePlan) -> None:
        key = f"{plan.task}-{plan.case.id}-{uuid.uuid4().hex}"
        future = self._client.submit(perform_in_slot, plan.to_json(), key=key, pure=False)
        self._running[key] = (future, plan)
        future.add_done_callback(lambda finished: self._finished.put((finished, plan)))

    def wait(self, seconds: float) -> list[Outcome]:
        outcomes = []
        try:
            finished = [self._finished.get(timeout=seconds)]
            while True:
                try:
                    finished.append(self._finished.get_nowait())
                except queue.Empty:
                    break
        except queue.Empty:
            return self._abandoned()
        for future, plan in finished:
            if self._running.pop(future.key, None) is None:
                continue
            outcome = self._outcome(future, plan)
            future.release()
            if outcome is not None:
                outcomes.append(outcome)
        return outcomes

    def _abandoned(self) -> list[Outcome]:
        """A reason to stop when tasks wait and no worker is left to do them."""
        if not self._running or self._cluster.scheduler.workers:
            return []
        return [Outcome(plan, stop="every worker process has died") for plan in self._pop_running()]

    def _pop_running(self) -> list[CasePlan]:
        plans = [plan for _, plan in self._running.values()]
        self._running.clear()
        return plans

    def _outcome(self, future: Future, plan: CasePlan) -> Outcome | None:
        """What a finished future says; None when the plan was handed out again."""
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        if future.status == "cancelled":
            return Outcome(plan, stop="the Dask scheduler is gone")
        error = future.exception()
        if not isinstance(error, KilledWorker):
            return Outcome(plan, failed=explain(plan, error))
        deaths = self._deaths[plan.case.id] = self._deaths.get(plan.case.id, 0) + 1
        if deaths < _MAX_DEATHS:
            self.submit(plan)
            return None
        message = f"its worker process died {deaths} times (killed, or out of memory)"
        advice = "run it alone with --scheduler serial; give it more memory"
        return Outcome(
            plan,
            failed=CaseFailed(plan.case.id, "crash", "CRASH", message, advice, retry="crash"),
        )

    def _kill_workers(self) -> None:
        for nanny in self._cluster.workers.values():
            with suppress(ProcessLookupError, TypeError):
                os.kill(nanny.pid, signal.SIGKILL)

    def close(self) -> None:
        with _interrupts_ignored():
            if self._running:  # closing politely would wait for them
                self._kill_workers()
            self._running.clear()
            self._client.close(timeout=5)
            self._cluster.close(timeout=10)
        self._clear()

    def _clear(self) -> None:
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)


class _interrupts_ignored:
    """SIGINT is ignored inside the block, where the main thread runs it."""

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)
