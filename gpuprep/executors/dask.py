"""Runs plans on the workers of a Dask cluster.

At most a window of tasks is known to the scheduler, each under a key of its own: Dask blames every task
assigned to a worker that dies, so few may be assigned. Workers on other hosts are examined when they join,
and tasks go to those that passed.
"""

from __future__ import annotations

import queue
import uuid
from asyncio import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import distributed
from distributed import Future
from distributed.scheduler import KilledWorker

from gpuprep.events import CaseFailed, Listener
from gpuprep.executors.admission import Terms
from gpuprep.executors.base import WORKER_DIED, Outcome
from gpuprep.executors.cluster import Cluster
from gpuprep.executors.roster import Roster
from gpuprep.executors.task import explain, perform_in_slot
from gpuprep.plan import CasePlan

_LEAST_AHEAD = 2  # tasks that wait at a worker, so that it need not wait for the coordinator


@dataclass(frozen=True, slots=True)
class _Task:
    """A plan handed out; ``workers`` are those it may go to, None for any."""

    future: Future  # a dropped future is cancelled
    plan: CasePlan
    workers: list[str] | None


class DaskExecutor:
    """Runs plans on as many workers as a cluster has at the moment."""

    def __init__(
        self, cluster: Cluster, *, terms: Terms | None = None, tell: Listener = lambda event: None
    ) -> None:
        self.lost = ""
        self._cluster = cluster
        self._finished: queue.SimpleQueue[tuple[Future, CasePlan, list[Outcome]]] = (
            queue.SimpleQueue()
        )
        self._running: dict[str, _Task] = {}
        self._held: list[CasePlan] = []  # for want of any worker
        self._client = cluster.open()
        try:
            self._roster = Roster(self._client, terms, tell)
        except BaseException:
            cluster.close(kill=True)
            raise

    @property
    def window(self) -> int:
        slots = self._roster.slots
        return slots + max(_LEAST_AHEAD, slots // 4)

    @property
    def inflight(self) -> int:
        return len(self._running) + len(self._held)

    def submit(self, plan: CasePlan) -> None:
        if not self._roster.admitted:
            self._held.append(plan)
            return
        key = f"{plan.task}-{plan.case.id}-{uuid.uuid4().hex}"
        workers = self._roster.restriction
        future = self._client.submit(
            perform_in_slot, plan.to_json(), key=key, pure=False, workers=workers
        )
        self._running[key] = _Task(future, plan, workers)
        self._client.loop.add_callback(self._fetch, future, plan)

    async def _fetch(self, future: Future, plan: CasePlan) -> None:
        """Bring a task's result as soon as there is one, so that the coordinator does not wait on the way."""
        results: list[Outcome] = []
        with suppress(CancelledError):
            results = await self._client.gather([future], errors="skip", asynchronous=True)
        self._finished.put((future, plan, results))

    def wait(self, seconds: float) -> list[Outcome]:
        outcomes = []
        if self._roster.refresh():
            self._look_after()
        try:
            finished = [self._finished.get(timeout=seconds)]
            while True:
                try:
                    finished.append(self._finished.get_nowait())
                except queue.Empty:
                    break
        except queue.Empty:
            return []
        for future, plan, results in finished:
            if self._running.pop(future.key, None) is None:
                continue
            if future.status == "cancelled":
                self.lost = "the Dask scheduler has dropped a task"
                continue
            outcomes.append(results[0] if results else _failure(future, plan))
            future.release()
        return outcomes

    def _look_after(self) -> None:
        """Lost workers are replaced, and what waited for them goes to others; or no more will come."""
        self._cluster.tend()
        admitted = self._roster.admitted
        for key, task in list(self._running.items()):
            if task.workers is not None and not admitted.keys() & set(task.workers):
                del self._running[key]
                task.future.cancel()
                self._held.append(task.plan)
        held, self._held = self._held, []
        for plan in held:
            self.submit(plan)
        if self.inflight and self._roster.empty_seconds > self._cluster.patience:
            self.lost = f"there has been no worker for {self._roster.empty_seconds:.0f} s"

    def state(self) -> dict[str, Any]:
        tasks = {key: task.future.status for key, task in self._running.items()}
        workers = self._roster.state()
        return {"workers": workers, "tasks": tasks, "distributed": distributed.__version__}

    def close(self) -> None:
        kill = bool(self._running)
        self._running.clear()
        self._held.clear()
        self._roster.close()
        self._cluster.close(kill=kill)


def _failure(future: Future, plan: CasePlan) -> Outcome:
    """What a future without a result says."""
    error = future.exception()
    if not isinstance(error, KilledWorker):
        return Outcome(plan, failed=explain(plan, error))
    message = "its worker process died (killed, or out of memory)"
    failure = CaseFailed(plan.case.id, "crash", WORKER_DIED, message, retry="crash")
    return Outcome(plan, failed=failure)
