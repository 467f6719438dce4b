"""A cluster that is not there: cases take the stage times of real ones, on a clock that jumps.

The clock goes on with the coordinator's own CPU time, and jumps to the end of the next case when the
coordinator waits. So a simulated hour takes as long as the coordinator works in it, and a coordinator that is
too slow for its workers is seen: they stand idle.
"""

from __future__ import annotations

import heapq
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuprep.executors.base import Outcome
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.events import CaseDone, CaseFailed

Stages = Mapping[str, float]
"""Seconds by stage of one case."""

TASK_SECONDS, CASE_SECONDS = 1.84e-3, 0.1e-3
"""CPU of Dask's own threads in the coordinator's process: for a task, and for a case of a batch."""

DIRTY = {"E_TRUNCATED": ("input", "never"), "EIO": ("io", "transient"), "CRASH": ("crash", "crash")}
"""How simulated cases fail: code, kind and class."""


def measured_stages() -> list[Stages]:
    """The stage times of every whole case that ``peers.py`` measured on one core."""
    results = json.loads((Path(__file__).parent / "results/peers.json").read_text())
    rows = (row for row in results["rows"] if row["path"] == "gpuprep" and row["cores"] == 1)
    return [row["stages"] for row in rows]


class SimulatedCluster:
    """An executor of so many workers with one slot each, all of them free of cost and of memory.

    Attributes:
        now: Seconds on the simulated clock.
        worked: Seconds that workers had a case, over all workers.
        first_result: When the first case was done; infinite before.
    """

    takes_batches = True

    def __init__(self, workers: int, stages: Sequence[Stages], *, faults: float, seed: int) -> None:
        """``faults`` is the share of attempts that fail, in one of the ways of ``DIRTY``."""
        self.window = workers + max(2, workers // 4)
        self.lost = self.waiting = ""
        self.now = self.worked = 0.0
        self.first_result = float("inf")
        self._stages = stages
        self._faults = faults
        self._random = random.Random(seed)
        self._free = [0.0] * workers  # when each worker is through with what it was given
        self._running: list[tuple[float, int, Outcome]] = []
        self._submitted = 0
        self._cpu = time.process_time()

    @property
    def inflight(self) -> int:
        return len(self._running)

    def submit(self, *tasks: CaseTask) -> None:
        self._tick()
        self.now += TASK_SECONDS + CASE_SECONDS * len(tasks)
        end = max(self.now, heapq.heappop(self._free))
        for task in tasks:
            stages = self._random.choice(self._stages)
            factor = self._random.lognormvariate(0, 0.5)  # volumes of a cohort differ in size
            took = tuple((name, seconds * factor) for name, seconds in stages.items())
            seconds = sum(part for _, part in took)
            end += seconds
            self.worked += seconds
            heapq.heappush(
                self._running, (end, self._submitted, self._outcome(task, seconds, took))
            )
            self._submitted += 1
        heapq.heappush(self._free, end)

    def _outcome(
        self, plan: CaseTask, seconds: float, stages: tuple[tuple[str, float], ...]
    ) -> Outcome:
        case_id = plan.case.id
        if self._random.random() < self._faults:
            code, (kind, retry) = self._random.choice(list(DIRTY.items()))
            failure = CaseFailed(case_id, kind, code, f"simulated {code}", retry=retry)
            return Outcome(plan, failed=failure)
        done = CaseDone(case_id, bytes_in=100_000_000, bytes_out=40_000_000, seconds=seconds)
        return Outcome(plan, done=done, seconds=seconds, stage_seconds=stages)

    def wait(self, seconds: float) -> list[Outcome]:
        self._tick()
        if not self._running:
            return []
        self.now = max(self.now, self._running[0][0])
        self.first_result = min(self.first_result, self.now)
        ended = []
        while self._running and self._running[0][0] <= self.now:
            ended.append(heapq.heappop(self._running)[2])
        return ended

    def _tick(self) -> None:
        """The coordinator's work passes on the simulated clock, too."""
        cpu = time.process_time()
        self.now += cpu - self._cpu
        self._cpu = cpu

    def state(self) -> dict[str, Any]:
        return {"workers": len(self._free), "tasks": len(self._running)}

    def close(self) -> None:
        self._running.clear()
