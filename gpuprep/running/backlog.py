"""What is still to be done, and what of it may start now."""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from gpuprep.preprocess.task import CaseTask

_SHARE_OF = 64  # cases
_DENSE = 0.5

Fits = Callable[[Sequence[CaseTask], CaseTask], bool]
"""Whether a task may go to a worker together with those before it."""


class Backlog:
    """Tasks in the order they come; those to be tried again when their time has come; suspects last.

    ``tasks`` gives None for every case that needs none, so that whoever looks for work may stop looking at
    any case. A suspect is handed out only when nothing is in flight, and nothing else until it is back:
    whatever dies then died of it.
    """

    def __init__(
        self,
        tasks: Iterable[CaseTask | None],
        is_suspect: Callable[[CaseTask], bool],
        cases: int = 0,
    ) -> None:
        """``cases`` is how many ``tasks`` may give, as far as is known."""
        self._fresh = iter(tasks)
        self._unseen = cases
        self._share = 0.0  # of the cases looked at last, those that need a task
        self._is_suspect = is_suspect
        self._ready: deque[CaseTask] = deque()
        self._later: list[tuple[float, int, CaseTask]] = []
        self._suspects: deque[CaseTask] = deque()
        self._number = itertools.count()
        self._one_alone = False
        self.is_scanned = False
        """Whether every case has been looked at."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        return self.is_scanned and not self._ready and not self._later and not self._suspects

    @property
    def ready(self) -> int:
        """Tasks that were found and never handed out."""
        return len(self._ready)

    @property
    def left(self) -> int:
        """Tasks to be expected: those ready, and of the rest as many as of the cases seen last."""
        unseen = 0 if self.is_scanned else max(0, self._unseen)
        return self.ready + int(self._share * unseen)

    @property
    def is_dense(self) -> bool:
        """Whether most cases need a task, so that those to follow are found at once."""
        return not self.is_scanned and self._share > _DENSE

    def scan(self, wanted: int, seconds: float, is_over: Callable[[], bool]) -> None:
        """Look for work, until so many tasks are ready, so long have passed, or it is over."""
        until = time.monotonic() + seconds
        while not self.is_scanned and self.ready < wanted:
            try:
                task = next(self._fresh)
            except StopIteration:
                self.is_scanned = True
                return
            self._unseen -= 1
            self._share += ((task is not None) - self._share) / _SHARE_OF
            if task is not None:
                (self._suspects if self._is_suspect(task) else self._ready).append(task)
            if is_over() or time.monotonic() > until:
                return

    def add(self, task: CaseTask, delay: float = 0.0) -> None:
        """Hand a task out again, by itself, not before so many seconds."""
        heapq.heappush(self._later, (time.monotonic() + delay, next(self._number), task))

    def add_suspect(self, task: CaseTask) -> None:
        """Hand a task out again, alone."""
        self._suspects.append(task)

    def draw(self, inflight: int, fits: Fits) -> list[CaseTask]:
        """The next task that may start beside ``inflight`` others, and those that fit to go with it.

        Empty where there is none at present. Only what was never handed out goes together.
        """
        if self._one_alone and inflight:
            return []
        self._one_alone = False
        if self._later and self._later[0][0] <= time.monotonic():
            return [heapq.heappop(self._later)[2]]
        if self._ready:
            drawn = [self._ready.popleft()]
            while self._ready and fits(drawn, self._ready[0]):
                drawn.append(self._ready.popleft())
            return drawn
        if self.is_scanned and self._suspects and not inflight:
            self._one_alone = True
            return [self._suspects.popleft()]
        return []
