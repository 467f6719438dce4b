"""Runs plans one after another in this process; defines what every other executor must do."""

from __future__ import annotations

from collections import deque
from typing import Any

from threadpoolctl import threadpool_limits

from gpuprep.executors.base import Outcome
from gpuprep.executors.deadline import raised_when_overdue
from gpuprep.executors.task import Workplace, perform
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.task import CasePlan


class SerialExecutor:
    """One task at a time; ``wait`` does the work."""

    window = 1
    lost = ""

    def __init__(self) -> None:
        self._waiting: deque[CasePlan] = deque()
        self._workplace: Workplace | None = None

    @property
    def inflight(self) -> int:
        return len(self._waiting)

    def submit(self, plan: CasePlan) -> None:
        self._waiting.append(plan)

    def wait(self, seconds: float) -> list[Outcome]:
        if not self._waiting:
            return []
        plan = self._waiting.popleft()
        if self._workplace is None or self._workplace.digest != plan.digest:
            self._leave()
            try:
                self._workplace = Workplace(plan)
            except Exception as error:
                return [Outcome(plan, failed=explain(plan, error))]
        with threadpool_limits(1):  # BLAS threads would fight with the engine's own
            return [perform(plan, self._workplace, raised_when_overdue)]

    def state(self) -> dict[str, Any]:
        return {"waiting": [plan.case.id for plan in self._waiting]}

    def close(self) -> None:
        self._waiting.clear()
        self._leave()

    def _leave(self) -> None:
        if self._workplace is not None:
            self._workplace.close()
            self._workplace = None
