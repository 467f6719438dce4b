"""The seam between deciding what to do and where it is done: tasks in, outcomes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gpuprep.ops.statistics import Histogram
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.events import CaseDone, CaseFailed

"""The code of a case whose worker died: of it, or of another case that the worker had in hand."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one task ended: exactly one of ``done``, ``histograms``, ``failed`` and ``stop`` is set."""

    task: CaseTask
    done: CaseDone | None = None
    histograms: tuple[Histogram, ...] | None = None
    failed: CaseFailed | None = None
    stop: str = ""
    """Why the whole run cannot go on (disk full, output gone)."""
    stage_seconds: tuple[tuple[str, float], ...] = ()


class Executor(Protocol):
    """Runs tasks somewhere. Not thread-safe: one coordinator drives it."""

    @property
    def window(self) -> int:
        """How many tasks it takes at one time: those that run, and some to follow them at once. Changes as
        workers come and go."""

    lost: str
    """Why it cannot finish what it was given (no worker left, scheduler gone); empty while it can."""

    @property
    def inflight(self) -> int:
        """Tasks that were submitted and have not been returned yet."""

    def submit(self, task: CaseTask) -> None:
        """Take one task; never blocks for long."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes that are ready; waits up to ``seconds`` for the first."""

    def state(self) -> dict[str, Any]:
        """What it knows of its workers and tasks, as JSON, for whoever looks for the cause of a hang."""

    def close(self) -> None:
        """Stop everything now; running tasks are killed where the executor can."""
