"""The seam between deciding what to do and where it is done: tasks in, outcomes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gpuprep.ops.mergeable import Mergeable, mergeable_from_json
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.listing import Holding
from gpuprep.values.events import CaseDone, CaseFailed, StageSpan


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one task ended: one of ``done``, ``histograms``, ``failed``, ``stop`` and ``taken`` is set."""

    task: CaseTask
    done: CaseDone | None = None
    histograms: tuple[Mergeable, ...] | None = None
    files: str = ""
    """The sum of the files that the histograms were taken from."""
    failed: CaseFailed | None = None
    stop: str = ""
    """Why the whole run cannot go on (disk full, output gone)."""
    taken: str = ""
    """Who took its worker away, so that it is as if it had never begun."""
    beside: int = 0
    """Where its worker died: how many others of the same batch had not come back either."""
    seconds: float = 0.0
    """How long a worker had it."""
    stage_seconds: tuple[tuple[str, float], ...] = ()
    held: Holding | None = None
    """What a case that was done holds, for the list of cases."""


class Executor(Protocol):
    """Runs tasks somewhere. Not thread-safe: one coordinator drives it."""

    takes_batches: bool
    """Whether handing out a task costs so much that small ones should go together."""

    @property
    def window(self) -> int:
        """How many tasks, or batches of them, it takes at one time: those that run, and some to
        follow them at once. Changes as workers come and go."""

    lost: str
    """Why it cannot finish what it was given (no worker left, scheduler gone); empty while it can."""

    @property
    def waiting(self) -> str:
        """What all its tasks wait for, while it has no worker; empty while it has."""

    @property
    def inflight(self) -> int:
        """Tasks that were submitted and have not been returned yet."""

    def submit(self, *tasks: CaseTask) -> None:
        """Take a task, or some that one worker does one after another; never blocks for long."""

    def wait(self, seconds: float) -> list[Outcome]:
        """The outcomes that are ready; waits up to ``seconds`` for the first."""

    def state(self) -> dict[str, Any]:
        """What it knows of its workers and tasks, as JSON, for whoever looks for the cause of a hang."""

    def close(self) -> None:
        """Stop everything now; running tasks are killed where the executor can."""


def pack(outcome: Outcome) -> str:
    """An outcome as JSON in ASCII, without its task, which the one who unpacks it knows.

    Names of files that are no UTF-8 come through, too.
    """
    fields = {
        "done": asdict(outcome.done) if outcome.done else None,
        "failed": asdict(outcome.failed) if outcome.failed else None,
        "stop": outcome.stop,
        "files": outcome.files,
        "seconds": round(outcome.seconds, 4),
        "stage_seconds": outcome.stage_seconds,
        "held": outcome.held and outcome.held.to_row(),
        "histograms": outcome.histograms and [each.to_json() for each in outcome.histograms],
    }
    return json.dumps(fields)


def unpack(task: CaseTask, text: str) -> Outcome:
    """What ``pack`` gave, for its task. Nothing but strings, numbers and lists is unpacked."""
    fields = json.loads(text)
    histograms = fields["histograms"]
    return Outcome(
        task,
        done=_done(fields["done"]) if fields["done"] else None,
        histograms=tuple(map(mergeable_from_json, histograms)) if histograms else None,
        failed=CaseFailed(**fields["failed"]) if fields["failed"] else None,
        stop=fields["stop"],
        files=fields["files"],
        seconds=fields["seconds"],
        stage_seconds=tuple((name, seconds) for name, seconds in fields["stage_seconds"]),
        held=Holding.of_row(fields["held"]) if fields["held"] else None,
    )


def _done(fields: Mapping[str, Any]) -> CaseDone:
    lists = {name: tuple(fields[name]) for name in ("findings", "fallbacks")}
    stages = tuple(StageSpan(**span) for span in fields["stages"])
    return CaseDone(**{**fields, **lists, "stages": stages})
