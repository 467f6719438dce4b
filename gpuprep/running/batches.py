"""Which cases go to a worker together: small ones, where handing out each by itself would be the most of it.

A coordinator hands out some hundred tasks a second, however many workers there are. So a task is to keep its
worker busy for a while, the longer the more workers there are. How long a case will take is told from the
sizes of its files and from the cases that came back last.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuprep.preprocess.task import CaseTask

MOST_TOGETHER = 32
_LEAST_SECONDS = 0.2  # a task of as many small cases costs the coordinator some percent of that
_TASKS_PER_SECOND = 100  # that a coordinator hands out while it does everything else, too
_MOST_SECONDS = 30.0  # that a worker's death may cost
_REMEMBERED = 101
_LEAST_SEEN = 16  # cases; those that come back first are the quick ones
_RENEWED_EVERY = 8  # cases


@dataclass(frozen=True, slots=True)
class Room:
    """What there is to hand out, and to how many."""

    slots: int
    """Tasks that can be in hand at one time."""
    free: int
    """Of these, what waits for a task."""
    left: int
    """Cases that are expected to be handed out yet."""
    ready: int
    """Of these, what may be handed out now, where the others are not found at once."""


class Batches:
    """Decides how many cases are one task, from what cases took so far."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._sizes: dict[str, int] = {}  # bytes of the files of cases that are handed out
        self._learned = 0
        self._mean = 0.0
        self._rate = 0.0
        self._least = 0.0

    def limit(self, room: Room) -> int:
        """How many cases may be one task now: the last ones are for all workers."""
        if len(self._seconds) < _LEAST_SEEN:
            return 1
        fair = min(room.left / room.slots, room.ready / max(1, room.free))
        return min(MOST_TOGETHER, max(1, math.ceil(fair)))

    def fits(self, room: Room, together: Sequence[CaseTask], task: CaseTask) -> bool:
        """Whether a task may go together with others, of which ``limit`` takes one more."""
        budget = min(_MOST_SECONDS, max(_LEAST_SECONDS, room.slots / _TASKS_PER_SECOND))
        left = budget - self._least * (1 + len(together))
        return left >= 0 and sum(map(self._cost, (*together, task))) <= budget

    def learn(self, task: CaseTask, seconds: float) -> None:
        """A case came back after so many seconds of a worker."""
        size = self._sizes.pop(task.case.id, 0)
        self._seconds.append(seconds)
        if size:
            self._rates.append(seconds / size)
        self._learned += 1
        if self._learned % _RENEWED_EVERY == 1:
            self._mean, self._rate = _mean(self._seconds), _mean(self._rates)
            self._least = min(self._seconds)

    def forget(self, task: CaseTask) -> None:
        """A case came back, and how long it took tells nothing."""
        self._sizes.pop(task.case.id, None)

    def _cost(self, task: CaseTask) -> float:
        """Seconds that a case is expected to take."""
        size = self._sizes.get(task.case.id)
        if size is None:
            size = self._sizes[task.case.id] = _size(task)
        if not size or not self._rates:
            return self._mean
        return max(self._least, self._rate * size)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _size(task: CaseTask) -> int:
    """Bytes of the files of a case, told from one slice of each series; 0 where it cannot be told."""
    labels = (source for label in task.case.labels for source in label.sources)
    try:
        return sum(
            Path(source.files[0] if source.files else source.path).stat().st_size
            * max(1, len(source.files))
            for source in (*task.case.images, *labels)
        )
    except OSError:
        return 0
