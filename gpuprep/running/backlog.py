"""What is still to be done, and what of it may start now."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable

from gpuprep.preprocess.task import CaseTask


class Backlog:
    """Tasks in the order they come; those to be tried again when their time has come; suspects last.

    A suspect is handed out only when nothing is in flight, and nothing else until it is back: whatever
    dies then died of it.
    """

    def __init__(self, tasks: Iterable[CaseTask], is_suspect: Callable[[CaseTask], bool]) -> None:
        self._fresh = iter(tasks)
        self._is_suspect = is_suspect
        self._later: list[tuple[float, int, CaseTask]] = []
        self._suspects: deque[CaseTask] = deque()
        self._number = itertools.count()
        self._exhausted = False
        self._one_alone = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        return self._exhausted and not self._later and not self._suspects

    def add(self, task: CaseTask, delay: float = 0.0) -> None:
        """Hand a task out again, not before so many seconds."""
        heapq.heappush(self._later, (time.monotonic() + delay, next(self._number), task))

    def add_suspect(self, task: CaseTask) -> None:
        """Hand a task out again, alone."""
        self._suspects.append(task)

    def draw(self, inflight: int) -> CaseTask | None:
        """The next task that may start beside ``inflight`` others; None when there is none at present."""
        if self._one_alone and inflight:
            return None
        self._one_alone = False
        task = self._draw_due() or self._draw_fresh()
        if task is None and self._suspects and not inflight:
            self._one_alone = True
            return self._suspects.popleft()
        return task

    def _draw_due(self) -> CaseTask | None:
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[2]
        return None

    def _draw_fresh(self) -> CaseTask | None:
        for task in self._fresh:
            if not self._is_suspect(task):
                return task
            self._suspects.append(task)
        self._exhausted = True
        return None
