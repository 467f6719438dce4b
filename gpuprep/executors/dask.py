"""Runs tasks on the workers of a Dask cluster.

At most a window of tasks is known to the scheduler, each under a key of its own: Dask blames every task
assigned to a worker that dies, so few may be assigned. Workers on other hosts are examined when they join,
and tasks go to those that passed. A task returns nothing: its outcome comes as a message, with the word that
the task has ended and not by a fetch after it.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import distributed
from dask.utils import key_split
from distributed import Future, get_worker
from distributed.scheduler import KilledWorker

from gpuprep.executors.admission import Terms
from gpuprep.executors.base import Outcome, pack, unpack
from gpuprep.executors.clusters.cluster import Cluster, LostWorker
from gpuprep.executors.roster import Roster
from gpuprep.executors.task import perform_in_slot
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.events import CaseFailed, Listener
from gpuprep.values.failure import FailureCode

_LEAST_AHEAD = 2  # tasks that wait at a worker, so that it need not wait for the coordinator
_REVIEW_SECONDS = 0.5  # between looks for tasks that ended without an outcome
_KEYS_REMEMBERED = 10_000
_DOUBT_SECONDS = 400.0  # SLURM takes 300 to miss a node


@dataclass(frozen=True, slots=True)
class _Submitted:
    """A task handed out; ``workers`` are those it may go to, None for any."""

    future: Future  # a dropped future is cancelled
    task: CaseTask
    workers: list[str] | None


@dataclass(frozen=True, slots=True)
class _Doubted:
    """A task whose worker went away, and it is not known yet who is to blame."""

    outcome: Outcome  # where nobody else is
    lost: LostWorker


class DaskExecutor:
    """Runs tasks on as many workers as a cluster has at the moment."""

    def __init__(
        self, cluster: Cluster, *, terms: Terms | None = None, tell: Listener = lambda event: None
    ) -> None:
        self.lost = ""
        self._cluster = cluster
        self._told: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        self._topic = f"gpuprep-{uuid.uuid4().hex}"
        self._reviewed = 0.0
        self._running: dict[str, _Submitted] = {}
        self._held: list[CaseTask] = []  # for want of any worker
        self._doubted: list[_Doubted] = []
        self._client = cluster.open()
        try:
            self._client.subscribe_topic(self._topic, lambda event: self._told.put(event[1]))
            self._roster = Roster(self._client, terms, tell)
        except BaseException:
            cluster.close(kill=True)
            raise

    @property
    def window(self) -> int:
        slots = sum(self._roster.admitted.values())
        return slots + max(_LEAST_AHEAD, slots // 4)

    @property
    def inflight(self) -> int:
        return len(self._running) + len(self._held) + len(self._doubted)

    @property
    def waiting(self) -> str:
        return "" if self._roster.admitted else self._cluster.waiting

    def submit(self, task: CaseTask) -> None:
        if not self._roster.admitted:
            self._held.append(task)
            return
        key = f"{task.kind}-{uuid.uuid4().hex}"
        workers = self._roster.restriction
        future = self._client.submit(
            perform_and_tell,
            perform_in_slot,
            task.to_json(),
            self._topic,
            key=key,
            pure=False,
            workers=workers,
        )
        self._running[key] = _Submitted(future, task, workers)
        if key_split.cache_info().currsize > _KEYS_REMEMBERED:  # it would keep 100,000 of our keys
            key_split.cache_clear()

    def wait(self, seconds: float) -> list[Outcome]:
        if self._roster.refresh():
            self._look_after()
        ended = self._ended()
        outcomes = []
        for message in self._messages(0 if ended else seconds):
            sent = self._running.pop(message["key"], None)  # None: done elsewhere since
            if sent is not None:
                outcomes.append(unpack(sent.task, message["outcome"]))
                sent.future.release()
        for key in ended & self._running.keys():
            sent = self._running[key]
            if sent.future.status == "error":
                del self._running[key]
                outcomes += self._failed(sent)
            else:
                self.lost = "the Dask scheduler has dropped a task"
        return outcomes + self._judged()

    def _failed(self, sent: _Submitted) -> list[Outcome]:
        """What a future without a result says, unless it is in doubt."""
        error = sent.future.exception()
        if not isinstance(error, KilledWorker):
            return [Outcome(sent.task, failed=explain(sent.task, error))]
        message = "its worker process died (killed, or out of memory)"
        code = FailureCode.WORKER_DIED
        failure = CaseFailed(sent.task.case.id, "crash", code, message, retry="crash")
        worker = error.last_worker
        lost = LostWorker(str(worker.name), worker.address, time.monotonic(), replaced=False)
        self._doubted.append(_Doubted(Outcome(sent.task, failed=failure), lost))
        return []

    def _judged(self) -> list[Outcome]:
        """Tasks that lost their worker, once it is known whether somebody took it away."""
        outcomes, doubted = [], self._doubted
        self._doubted = []
        for each in doubted:
            lost = replace(each.lost, replaced=self._roster.has_replaced(each.lost))
            fate = self._cluster.fate(lost)
            if fate is None and time.monotonic() - lost.since < _DOUBT_SECONDS:
                self._doubted.append(each)
            elif fate:
                outcomes.append(Outcome(each.outcome.task, taken=fate))
            else:
                outcomes.append(each.outcome)
        return outcomes

    def _messages(self, seconds: float) -> list[dict[str, str]]:
        """What workers told; waits so long for the first."""
        messages = []
        with suppress(queue.Empty):
            messages.append(self._told.get(timeout=seconds))
            while True:
                messages.append(self._told.get_nowait())
        return messages

    def _ended(self) -> set[str]:
        """Tasks that Dask says are over. Their outcomes, where they have any, have arrived before."""
        if time.monotonic() < self._reviewed + _REVIEW_SECONDS:
            return set()
        self._reviewed = time.monotonic()
        return {key for key, sent in self._running.items() if sent.future.status != "pending"}

    def _look_after(self) -> None:
        """Lost workers are replaced, and what waited for them goes to others; or no more will come."""
        self._cluster.tend()
        admitted = self._roster.admitted
        for key, sent in list(self._running.items()):
            if sent.workers is not None and not admitted.keys() & set(sent.workers):
                del self._running[key]
                sent.future.cancel()
                self._held.append(sent.task)
        held, self._held = self._held, []
        for task in held:
            self.submit(task)
        if self.inflight and self._roster.empty_seconds > self._cluster.patience:
            self.lost = f"there has been no worker for {self._roster.empty_seconds:.0f} s"

    def state(self) -> dict[str, Any]:
        tasks = {sent.task.case.id: sent.future.status for sent in self._running.values()}
        workers = self._roster.state()
        return {"workers": workers, "tasks": tasks, "distributed": distributed.__version__}

    def close(self) -> None:
        kill = bool(self._running)
        self._running.clear()
        self._held.clear()
        self._doubted.clear()
        self._roster.close()
        self._cluster.close(kill=kill)


def perform_and_tell(
    perform: Callable[[dict[str, Any]], Outcome], fields: dict[str, Any], topic: str
) -> None:
    """On a worker: run a task given as JSON, and tell the topic's listener under the task's key.

    The outcome goes to the scheduler on the connection on which the worker says, next, that the task is
    finished; the scheduler passes both on in that order. So whoever hears the end of a task has its outcome,
    also where the worker's host is cut off a moment later.
    """
    worker = get_worker()
    key = worker.get_current_task()
    worker.log_event(topic, {"key": key, "outcome": pack(perform(fields))})
