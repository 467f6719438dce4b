"""What happened in a run so far, and the report at its end."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gpuprep.cohort.discover import Found
from gpuprep.store.standing import Standing
from gpuprep.values.events import CaseDone, CaseFailed, RunFinished

Limit = Literal["reading", "computing", "writing"]
_KINDS: dict[str, Limit] = {"read": "reading", "store": "writing", "commit": "writing"}

_SLOWEST = 5
_TOLD = 20  # cases of which is told what changed


@dataclass
class Told:
    """Something that can be said of many cases: of how many, and what of the first of them."""

    cases: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, case_id: str, text: str) -> None:
        self.cases += 1
        if len(self.first) < _TOLD:
            self.first.append(f"{case_id}: {text}")


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended. ``exit_code`` follows the command's: 0, 1 failed cases, 3 stopped, 130 interrupted."""

    finished: RunFinished
    failures: tuple[CaseFailed, ...]
    unmatched: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False
    standing: Standing = field(default_factory=Standing)
    """Stored cases that left the input, or were made with another config or other statistics."""
    changed: Told = field(default_factory=Told)
    """Cases that were stored and had to be made anew, and why."""
    attributes: Told = field(default_factory=Told)
    """Cases that were not made anew, and of which the input says other attributes than are stored."""
    recognised: int = 0
    """Cases whose files lie elsewhere than before, and are the same by their sums."""
    by_list: int = 0
    """Cases of an object store that the word of its sealed list skipped; their objects were not seen."""

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        if self.finished.stopped:
            return 3
        return 1 if self.failures else 0

    def to_json(self) -> dict[str, Any]:
        """What ``run --json`` prints and ``report.json`` holds."""
        return {
            **self.finished.to_json(),
            "breakdown": break_down(self.finished).to_json(),
            "failures": [failure.to_json() for failure in self.failures],
            **self.standing.to_json(),
            "changed": asdict(self.changed),
            "attributes": asdict(self.attributes),
            "recognised": self.recognised,
            "by_list": self.by_list,
            "unmatched": [{"path": path, "reason": reason} for path, reason in self.unmatched],
            "exit_code": self.exit_code,
        }


@dataclass
class Tally:
    """What happened so far; the only state of a run, and only for its report."""

    cases: int
    done: int = 0
    skipped: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    failures: list[CaseFailed] = field(default_factory=list)
    stages: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    changed: Told = field(default_factory=Told)
    attributes: Told = field(default_factory=Told)
    recognised: int = 0
    by_list: int = 0

    def add(self, event: CaseDone, stage_seconds: tuple[tuple[str, float], ...]) -> None:
        """Count a case that was done now."""
        self.done += 1
        self.bytes_in += event.bytes_in
        self.bytes_out += event.bytes_out
        self.stages.update(dict(stage_seconds))
        self.fallbacks.update(event.fallbacks)
        self.slowest = heapq.nlargest(_SLOWEST, [*self.slowest, (event.seconds, event.case_id)])

    def report(self, found: Found, stopped: str, seconds: float) -> RunReport:
        """The end of the run, with what is left to do."""
        remaining = self.cases - self.done - self.skipped - len(self.failures)
        finished = RunFinished(
            self.done,
            self.skipped,
            len(self.failures),
            remaining,
            seconds,
            self.bytes_in,
            self.bytes_out,
            stopped,
            dict(self.stages),
            dict(self.fallbacks),
            tuple((case_id, seconds) for seconds, case_id in self.slowest),
        )
        unmatched = tuple((entry.path, entry.reason) for entry in found.unmatched)
        return RunReport(
            finished,
            tuple(self.failures),
            unmatched,
            changed=self.changed,
            attributes=self.attributes,
            recognised=self.recognised,
            by_list=self.by_list,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage over all cases of a run; seconds are added up over all workers."""

    name: str
    seconds: float
    share: float
    """Of the seconds of all stages."""
    bytes_per_second: float | None
    """Source bytes read, or stored bytes written, per second of the stage; None for stages between."""


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The stages of a run in the order of the path, and which kind of work took most of the time."""

    stages: tuple[Stage, ...]
    limit: Limit | None
    limit_share: float
    cases_per_second: float
    slowest: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        slowest = [{"case": case, "seconds": round(s, 4)} for case, s in self.slowest]
        return {**asdict(self), "slowest": slowest}


def break_down(finished: RunFinished) -> Breakdown:
    """What the stage times of a finished run say."""
    total = sum(finished.stage_seconds.values())
    stages = tuple(
        Stage(name, seconds, seconds / total if total else 0.0, _speed(name, seconds, finished))
        for name, seconds in finished.stage_seconds.items()
    )
    kinds: dict[Limit, float] = {"reading": 0.0, "computing": 0.0, "writing": 0.0}
    for stage in stages:
        kinds[_KINDS.get(stage.name, "computing")] += stage.share
    limit, share = max(kinds.items(), key=lambda entry: entry[1])
    return Breakdown(
        stages,
        limit if total else None,
        share,
        finished.done / finished.seconds if finished.seconds else 0.0,
        finished.slowest,
    )


def _speed(stage: str, seconds: float, finished: RunFinished) -> float | None:
    moved = {"read": finished.bytes_in, "store": finished.bytes_out}.get(stage)
    return moved / seconds if moved is not None and seconds else None
