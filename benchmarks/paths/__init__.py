"""Whole cases by one tool each: a module has ``prepare(task)`` and ``stored(task)``.

``prepare`` does what a worker does once (imports, settings) and gives the work that is measured: from
the files of the task to a stored case, returning seconds by stage. ``stored`` reads back what was
stored, image and label in ``z, y, x``. A module is imported by the process that measures it alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

Stages = dict[str, float]
Work = Callable[[], Stages]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Task:
    """One case for one tool."""

    image: str
    label: str
    folder: str
    """Where to store; it exists and is empty."""
    threads: int
    spacing: Triple
    """Target, ``x, y, z`` in mm."""
    clip: tuple[float, float]
    """HU."""
    options: dict[str, Any]
    """What the tool is asked besides."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Stopwatch:
    """Seconds since the last call, by stage."""

    def __init__(self) -> None:
        self.stages: Stages = {}
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage], self._last = now - self._last, now
