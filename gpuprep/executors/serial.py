"""Runs tasks one after another in this process; defines what every other executor must do."""

from __future__ import annotations

from collections import deque
from typing import Any

from threadpoolctl import threadpool_limits

from gpuprep.executors.base import Outcome
from gpuprep.executors.deadline import raised_when_overdue
from gpuprep.executors.task import Workplace, open_workplace, perform
from gpuprep.preprocess.task import CaseTask


class SerialExecutor:
    """One task at a time; ``wait`` does the work."""

    takes_batches = False
    window = 1
    lost = ""
    waiting = ""

    def __init__(self) -> None:
        self._waiting: deque[CaseTask] = deque()
        self._workplace: Workplace | None = None

    @property
    def inflight(self) -> int:
        return len(self._waiting)

    def submit(self, *tasks: CaseTask) -> None:
        self._waiting.extend(tasks)

    def wait(self, seconds: float) -> list[Outcome]:
        if not self._waiting:
            return []
        task = self._waiting.popleft()
        if self._workplace is None or self._workplace.digest != task.digest:
            self._leave()
            opened = open_workplace(task)
            if isinstance(opened, Outcome):
                return [opened]
            self._workplace = opened
        with threadpool_limits(1):  # BLAS threads would fight with the engine's own
            return [perform(task, self._workplace, raised_when_overdue)]

    def state(self) -> dict[str, Any]:
        return {"waiting": [task.case.id for task in self._waiting]}

    def close(self) -> None:
        self._waiting.clear()
        self._leave()

    def _leave(self) -> None:
        if self._workplace is not None:
            self._workplace.close()
            self._workplace = None
