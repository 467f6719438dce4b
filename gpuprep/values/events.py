"""What a run says about itself. Progress bars, logs and services listen; nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gpuprep.values.errors import Retry


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stretch of work on a case: ``start`` in seconds since the epoch, on one process' clock."""

    stage: str
    start: float
    seconds: float
    process: int = 0
    thread: int = 0


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Cases are known and work begins."""

    cases: int
    workers: int
    backend: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class CaseStarted:
    """A case was handed to a worker, for the first time or once more."""

    case_id: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class CohortPass:
    """The pass over the cohort begins: of so many ``cases`` statistics are taken, but for those ``known``."""

    cases: int
    known: int = 0


@dataclass(frozen=True, slots=True)
class CaseMeasured:
    """The pass over the cohort is through with a case; one that could not be measured has failed, too."""

    case_id: str


@dataclass(frozen=True, slots=True)
class CaseChanged:
    """A stored case is not what it would be now, and is made anew."""

    case_id: str
    cause: str
    """``source``, ``config`` (which covers the cohort's statistics) or ``stored`` (it is damaged)."""
    change: str
    """What differs, in words."""


@dataclass(frozen=True, slots=True)
class CaseDone:
    """A case was committed (or found already committed, when ``skipped``)."""

    case_id: str
    skipped: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    findings: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    """Why parts of it were not done by the engine of the run."""
    stages: tuple[StageSpan, ...] = ()
    """When and for how long each stage of it was at work."""


@dataclass(frozen=True, slots=True)
class CaseFailed:
    """A case could not be done; everything a person needs to act on it."""

    case_id: str
    kind: str
    code: str
    message: str
    advice: str = ""
    path: str = ""
    details: str = ""
    retry: Retry = "never"

    def to_json(self) -> dict[str, str]:
        return {
            "case": self.case_id,
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
            "advice": self.advice,
            "path": self.path,
        }


@dataclass(frozen=True, slots=True)
class CaseTaken:
    """The worker that had a case was taken away (``reason``); it begins again as if it never had."""

    case_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """There is no worker: ``what`` the cases wait for; empty once there is one."""

    what: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A remark about the run as a whole: a fallback taken, files that belong to no case."""

    message: str
    paths: tuple[str, ...] = ()
    """What it is about, line by line."""
    more: int = 0
    """Lines that were left out."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run is over; ``stopped`` says why when it did not reach its end."""

    done: int
    skipped: int
    failed: int
    remaining: int
    seconds: float
    bytes_in: int
    bytes_out: int
    stopped: str = ""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    fallbacks: dict[str, int] = field(default_factory=dict)
    """Cases per reason why parts of them were not done by the engine of the run."""
    slowest: tuple[tuple[str, float], ...] = ()
    """The cases that took longest, and their seconds."""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


Event = (
    RunStarted
    | CohortPass
    | CaseMeasured
    | CaseStarted
    | CaseChanged
    | CaseDone
    | CaseFailed
    | CaseTaken
    | Waiting
    | Notice
    | RunFinished
)
Listener = Callable[[Event], None]
