"""Runs tasks on the workers of a Dask cluster.

At most a window of tasks is known to Dask, each of one case or a batch of small ones, under a key of its own:
Dask blames every task assigned to a worker that dies, so few may be assigned. Workers on other hosts are
examined when they join, and only those that passed do any task. A task returns nothing: the outcome of each
case comes as a message, the last with the word that the task has ended and not by a fetch after it.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import distributed
from dask.utils import key_split
from distributed import Future
from distributed.scheduler import KilledWorker

from gpuprep.executors.admission import Terms
from gpuprep.executors.base import Outcome, unpack
from gpuprep.executors.batch import perform_and_tell
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
    """A batch handed out; ``workers`` are those it may go to, None for any."""

    future: Future  # a dropped future is cancelled
    tasks: dict[int, CaseTask] = field(repr=False)  # those not told yet, by their places
    workers: list[str] | None


@dataclass(frozen=True, slots=True)
class _Doubted:
    """Tasks whose worker went away, and it is not known yet who is to blame."""

    outcomes: list[Outcome]  # where nobody else is
    lost: LostWorker


class DaskExecutor:
    """Runs tasks on as many workers as a cluster has at the moment."""

    takes_batches = True

    def __init__(
        self, cluster: Cluster, *, terms: Terms | None = None, tell: Listener = lambda event: None
    ) -> None:
        self.lost = ""
        self._cluster = cluster
        self._told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._topic = f"gpuprep-{uuid.uuid4().hex}"
        self._reviewed = 0.0
        self._running: dict[str, _Submitted] = {}
        self._held: list[list[CaseTask]] = []  # for want of any worker
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
        running = sum(len(sent.tasks) for sent in self._running.values())
        doubted = sum(len(each.outcomes) for each in self._doubted)
        return running + doubted + sum(map(len, self._held))

    @property
    def waiting(self) -> str:
        if self._roster.are_paused:
            return "workers: Dask has paused all of them, whose memory is nearly full"
        return "" if self._roster.admitted else self._cluster.waiting

    def submit(self, *tasks: CaseTask) -> None:
        self._send(tasks, self._roster.restriction)

    def _send(self, tasks: Iterable[CaseTask], workers: list[str] | None) -> None:
        batch = list(tasks)
        if not self._roster.admitted:
            self._held.append(batch)
            return
        key = f"{batch[0].kind}-{uuid.uuid4().hex}"
        future = self._client.submit(
            perform_and_tell,
            perform_in_slot,
            [task.to_json() for task in batch],
            self._topic,
            self._roster.run,
            key=key,
            pure=False,
            workers=workers,
        )
        self._running[key] = _Submitted(future, dict(enumerate(batch)), workers)
        if key_split.cache_info().currsize > _KEYS_REMEMBERED:  # it would keep 100,000 of our keys
            key_split.cache_clear()

    def wait(self, seconds: float) -> list[Outcome]:
        if self._roster.refresh():
            self._look_after()
        ended = self._ended()
        outcomes = []
        for message in self._messages(0 if ended else seconds):
            outcomes += self._heard(message)
        for key in ended & self._running.keys():
            sent = self._running[key]
            if sent.future.status == "error":
                del self._running[key]
                outcomes += self._failed(sent)
            else:
                self.lost = "the Dask scheduler has dropped a task"
        return outcomes + self._judged()

    def _heard(self, message: dict[str, Any]) -> list[Outcome]:
        """The outcomes in a message, without those that were told before."""
        sent = self._running.get(message["key"])
        if sent is None:  # done elsewhere since
            return []
        if "stranger" in message:
            del self._running[message["key"]]
            self._roster.forget(message["stranger"])
            self._send(sent.tasks.values(), list(self._roster.admitted))
            return []
        told = [(place, text) for place, text in message["outcomes"] if place in sent.tasks]
        outcomes = [unpack(sent.tasks.pop(place), text) for place, text in told]
        if not sent.tasks:
            del self._running[message["key"]]
            sent.future.release()
        return outcomes

    def _failed(self, sent: _Submitted) -> list[Outcome]:
        """What a future without a result says, unless it is in doubt."""
        error = sent.future.exception()
        tasks = list(sent.tasks.values())
        if not isinstance(error, KilledWorker):
            if (
                self._roster.run and sent.workers is None
            ):  # it may have met one that was not examined
                self._send(tasks, list(self._roster.admitted))
                return []
            return [Outcome(task, failed=explain(task, error)) for task in tasks]
        message = "its worker process died (killed, or out of memory)"
        code = FailureCode.WORKER_DIED
        failures = [
            CaseFailed(each.case.id, "crash", code, message, retry="crash") for each in tasks
        ]
        outcomes = [
            Outcome(task, failed=failure, beside=len(tasks) - 1)
            for task, failure in zip(tasks, failures, strict=True)
        ]
        worker = error.last_worker
        lost = LostWorker(str(worker.name), worker.address, time.monotonic(), replaced=False)
        self._doubted.append(_Doubted(outcomes, lost))
        return []

    def _judged(self) -> list[Outcome]:
        """Tasks that lost their worker, once it is known whether somebody took it away."""
        outcomes: list[Outcome] = []
        doubted, self._doubted = self._doubted, []
        for each in doubted:
            lost = replace(each.lost, replaced=self._roster.has_replaced(each.lost))
            fate = self._cluster.fate(lost)
            if fate is None and time.monotonic() - lost.since < _DOUBT_SECONDS:
                self._doubted.append(each)
            elif fate:
                outcomes += [Outcome(outcome.task, taken=fate) for outcome in each.outcomes]
            else:
                outcomes += each.outcomes
        return outcomes

    def _messages(self, seconds: float) -> list[dict[str, Any]]:
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
                self._held.append(list(sent.tasks.values()))
        held, self._held = self._held, []
        for batch in held:
            self.submit(*batch)
        if self.inflight and self._roster.idle_seconds > self._cluster.patience:
            short = "no worker with memory to spare" if self._roster.are_paused else "no worker"
            self.lost = f"there has been {short} for {self._roster.idle_seconds:.0f} s"

    def state(self) -> dict[str, Any]:
        running = self._running.values()
        tasks = {
            task.case.id: sent.future.status for sent in running for task in sent.tasks.values()
        }
        workers = self._roster.state()
        return {"workers": workers, "tasks": tasks, "distributed": distributed.__version__}

    def close(self) -> None:
        kill = bool(self._running)
        self._running.clear()
        self._held.clear()
        self._doubted.clear()
        self._roster.close()
        self._cluster.close(kill=kill)
