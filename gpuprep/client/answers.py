"""What a service answers, as values. A newer service may tell more; what is not known here is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from gpuprep.values.errors import ServiceError

Value = TypeVar("Value")

ENDED = frozenset({"succeeded", "succeeded_with_failures", "paused", "failed", "cancelled"})
_EXITS = {"succeeded_with_failures": 1, "paused": 3, "failed": 3, "cancelled": 130}


@dataclass(frozen=True, slots=True)
class Progress:
    """How the run of a job stands; counts are cases."""

    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    remaining: int = 0
    measured: int = 0
    to_measure: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    cases_per_second: float = 0.0
    seconds_left: float | None = None
    waiting: str = ""
    """What all cases wait for, while there is no worker."""


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a job stands in the queue; 1 is the next. ``seconds`` until it begins, where that is known."""

    position: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a service, as it stood when it was asked for. Times are seconds since the epoch, UTC."""

    id: str
    owner: str
    state: str
    """``queued``, ``starting``, ``running``, ``cancelling``; or over: ``succeeded``,
    ``succeeded_with_failures``, ``paused``, ``failed``, ``cancelled``."""
    root: str
    path: str
    output: str
    """The cohort's name."""
    reason: str = ""
    """Why it did not succeed, in words."""
    profile: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    executor: str = "local"
    workers: int = 1
    only: int = 0
    """How many ids and patterns choose its cases; 0 for all of the input."""
    limit: int | None = None
    overwrite: bool = False
    priority: int = 5
    retry_of: str = ""
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    restarts: int = 0
    """How often it was begun again because its process was gone."""
    cases: int = 0
    """Cases of its input when it was submitted."""
    queue: QueuePlace | None = None
    progress: Progress | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    @property
    def exit_code(self) -> int:
        """What ``gpuprep jobs watch`` exits with: 1 some failed, 3 stopped, 130 cancelled, else 0."""
        return _EXITS.get(self.state, 0)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job would do. ``refusals`` have ``case``, ``code``, ``message``, ``advice``."""

    cases: int
    looked_at: int
    refused: int
    layout: str = ""
    refusals: tuple[Mapping[str, str], ...] = ()
    unmatched: int = 0
    """Files that belong to no case."""
    bytes_in: int = 0
    bytes_out: int = 0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Cases that failed alike; ``example`` is the message of one."""

    kind: str
    code: str
    cases: tuple[str, ...]
    example: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The cases that a retry would do again."""

    cases: int
    groups: tuple[FailureGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class CohortSummary:
    """A cohort of a service; where ``problem`` says why it cannot be read, it has no cases here."""

    name: str
    cases: int
    channels: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of many; ``next`` is what the next page begins after, and empty where this is the last."""

    items: tuple[Any, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """Something that happened to a job; ``place`` goes on behind it."""

    name: str
    """``job.queued`` and the other states, ``run.started``, ``case.done``, ``case.failed`` and so on."""
    time: str = ""
    place: int = 0
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is told of it, such as ``case``."""


_INNER: dict[str, Any] = {
    "queue": QueuePlace,
    "progress": Progress,
    "groups": (FailureGroup,),
}


def value_of(kind: type[Value], tree: Any) -> Value:
    """The value in an answer.

    Raises:
        ServiceError: it is not one; whatever answers is not a service of gpuprep.
    """
    if not isinstance(tree, dict):
        raise _strange(kind)
    given = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name in tree:
            given[entry.name] = _inner(entry.name, tree[entry.name])
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise _strange(kind)
    return kind(**given)


def _inner(name: str, found: Any) -> Any:
    inner = _INNER.get(name)
    if inner is not None and found is not None:
        if isinstance(inner, tuple):
            return tuple(value_of(inner[0], each) for each in found)
        return value_of(inner, found)
    return tuple(found) if isinstance(found, list) else found


def _strange(kind: type[Any]) -> ServiceError:
    return ServiceError(
        f"the answer is no {kind.__name__}",
        advice="check the address: something else may answer there",
        code="E_ANSWER",
        status=200,
    )
