"""Where the time of a run went: seconds, share and speed of every stage, and what limits it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from gpuprep.values.events import RunFinished

Limit = Literal["reading", "computing", "writing"]

_READING = frozenset({"read"})
_WRITING = frozenset({"store", "commit"})


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
        kinds[_kind(stage.name)] += stage.share
    limit, share = max(kinds.items(), key=lambda entry: entry[1])
    return Breakdown(
        stages,
        limit if total else None,
        share,
        finished.done / finished.seconds if finished.seconds else 0.0,
        finished.slowest,
    )


def _kind(stage: str) -> Limit:
    if stage in _READING:
        return "reading"
    return "writing" if stage in _WRITING else "computing"


def _speed(stage: str, seconds: float, finished: RunFinished) -> float | None:
    moved = {"read": finished.bytes_in, "store": finished.bytes_out}.get(stage)
    return moved / seconds if moved is not None and seconds else None
