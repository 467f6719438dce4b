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
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dask
import distributed
from distributed import Client, Future, LocalCluster, Security, WorkerPlugin
from distributed.scheduler import KilledWorker

from gpuprep.events import CaseFailed
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import explain, perform_in_slot
from gpuprep.owner import make_scratch
from gpuprep.plan import CasePlan

_INTERRUPTS = (signal.SIGINT, signal.SIGHUP)  # what a terminal sends to all its processes
_NO_WORKER_SECONDS = 15.0  # after which nobody will come to replace the last one
_SETTINGS = {
    "distributed.scheduler.allowed-failures": 0,
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
    """What every worker does first: take its CUDA device, and leave Ctrl-C and the closed terminal to the
    coordinator, which drains; a worker that died of them would lose its cases."""

    name = "gpuprep-preparation"

    def __init__(self, devices: tuple[str, ...]) -> None:
        self._devices = devices

    def setup(self, worker: Any) -> None:
        if self._devices:
            own = self._devices[int(worker.name) % len(self._devices)]
            os.environ["CUDA_VISIBLE_DEVICES"] = own
        _silence_tornado()
        if threading.current_thread() is threading.main_thread():
            for number in _INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def _silence_tornado() -> None:
    """Heartbeats that meet a closed connection while a cluster shuts down are logged with tracebacks."""
    for name in ("tornado.application", "asyncio", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class DaskExecutor:
    """Worker processes on this machine behind a Dask scheduler, each with one or more slots.

    Workers take turns over the CUDA devices, where there are any.
    """

    def __init__(
        self,
        workers: int,
        *,
        per_worker: int = 1,
        devices: tuple[str, ...] = (),
        silence: float = 300.0,
    ) -> None:
        self.slots = workers * per_worker
        self.lost = ""
        self._served = time.monotonic()  # when there last was a worker
        self._scratch = make_scratch("gpuprep-workers-")
        self._finished: queue.SimpleQueue[tuple[Future, CasePlan]] = queue.SimpleQueue()
        self._running: dict[str, tuple[Future, CasePlan]] = {}  # a dropped future is cancelled
        ttl = {"distributed.scheduler.worker-ttl": f"{silence} s"}
        self._settings = dask.config.set(_SETTINGS | ttl)  # until closed
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
            self._look_after()
            return []
        for future, plan in finished:
            if self._running.pop(future.key, None) is None:
                continue
            if future.status == "cancelled":
                self.lost = "the Dask scheduler has dropped a task"
                continue
            outcomes.append(_outcome(future, plan))
            future.release()
        return outcomes

    def _look_after(self) -> None:
        """Workers that die are replaced by their nannies; here it shows when no more come."""
        now = time.monotonic()
        if self._cluster.scheduler.workers or not self._running:
            self._served = now
        elif now - self._served > _NO_WORKER_SECONDS:
            self.lost = "every worker process has died"

    def state(self) -> dict[str, Any]:
        scheduler = self._cluster.scheduler
        workers = {
            address: {
                "pid": getattr(self._cluster.workers.get(worker.name), "pid", None),
                "status": str(worker.status),
                "silent_seconds": round(time.time() - worker.last_seen, 1),
                "tasks": [task.key for task in worker.processing],
            }
            for address, worker in scheduler.workers.items()
        }
        tasks = {key: task.state for key, task in scheduler.tasks.items()}
        return {"workers": workers, "tasks": tasks, "distributed": distributed.__version__}

    def _kill_workers(self) -> None:
        for nanny in self._cluster.workers.values():
            self._cluster.loop.add_callback(nanny.close_gracefully)  # it starts no other one
            with suppress(ProcessLookupError, TypeError):
                os.kill(nanny.pid, signal.SIGKILL)

    def close(self) -> None:
        if self._running:  # closing politely would wait for them
            self._kill_workers()
        self._running.clear()
        self._client.close(timeout=5)
        self._cluster.close(timeout=10)
        self._clear()

    def _clear(self) -> None:
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _outcome(future: Future, plan: CasePlan) -> Outcome:
    """What a finished future says."""
    if future.status == "finished":
        outcome: Outcome = future.result()
        return outcome
    error = future.exception()
    if not isinstance(error, KilledWorker):
        return Outcome(plan, failed=explain(plan, error))
    message = "its worker process died (killed, or out of memory)"
    return Outcome(plan, failed=CaseFailed(plan.case.id, "crash", "CRASH", message, retry="crash"))


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Interrupts are ignored inside the block, where the main thread runs it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
