"""What requests hold and what answers hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from gpuprep.ledger.failures import FailureGroup
from gpuprep.service.jobs.job import Job, State
from gpuprep.service.settings import NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
JobId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{20}$")]
RelativePath = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]
CasePattern = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")
]


_DEEPEST = 12  # levels of a config; the deepest there is has six
_MOST_ENTRIES = 10_000
_LARGEST = 2**53  # beyond it, numbers of JSON are no longer exact everywhere


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    """A tree that can be walked, stored and written again: bounded, and with plain numbers and texts."""
    waiting: list[tuple[Any, int]] = [(tree, 1)]
    seen = 0
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        if depth > _DEEPEST or seen > _MOST_ENTRIES:
            raise ValueError(f"may be {_DEEPEST} levels deep and have {_MOST_ENTRIES:,} entries")
        match node:
            case dict():
                waiting += [(each, depth + 1) for pair in node.items() for each in pair]
            case list():
                waiting += [(each, depth + 1) for each in node]
            case str() if not node.isascii() and node.encode("utf-8", "replace").decode() != node:
                raise ValueError("holds a text with half of a surrogate pair")
            case int() | float() if not abs(node) <= _LARGEST:  # of NaN nothing is true
                raise ValueError("holds a number that is not finite, or too large")
    return tree


Tree = Annotated[dict[str, Any], AfterValidator(_plain)]


def _no_text(given: Any) -> Any:
    if isinstance(given, str | bool):
        raise ValueError("should be a number")
    return given


Whole = Annotated[int, BeforeValidator(_no_text)]
"""A whole number of JSON, which 3.0 is, too; a text or a truth is none."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class JobRequest(_Body):
    """A cohort to be made."""

    root: Name
    """One of the service's roots."""
    path: RelativePath = ""
    """The input below the root: a folder, a manifest, a ``dataset.json`` or a single file."""
    output: Name
    """The cohort's name."""
    config: Tree | Name = Field(default_factory=dict)
    """A config, or the name of a profile."""
    executor: Name = "local"
    """``local``, ``serial``, or a cluster of the service's."""
    workers: Annotated[Whole, Field(ge=1, le=4096)] | None = None
    """Worker processes; by default an equal share of the service's."""
    only: Annotated[tuple[CasePattern, ...], Field(max_length=100_000)] = ()
    """Only these cases; patterns such as ``liver_*`` take in several."""
    limit: Annotated[Whole, Field(ge=1, le=100_000_000)] | None = None
    """At most so many cases, the first of them."""
    overwrite: Annotated[bool, Field(strict=True)] = False
    """Make every case anew, whatever is stored."""
    priority: Annotated[Whole, Field(ge=0, le=9)] = 5
    """Among the owner's own jobs; those of 9 come first."""
    webhook: (
        Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[!-~]+$")] | None
    ) = None
    """Is told when the job ends; its host must be one of the service's list."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "root": "data",
                    "path": "liver",
                    "output": "liver-1mm",
                    "config": {"image": {"resample": {"spacing": [1, 1, 1]}}},
                }
            ]
        },
    )


class PriorityRequest(_Body):
    """A job's new place among its owner's."""

    priority: Annotated[Whole, Field(ge=0, le=9)]
    """Those of 9 come first."""


class Progress(_Answer):
    """How a run stands; counts are cases."""

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


class QueuePlace(_Answer):
    """Where a job stands in the queue."""

    position: int
    """1 is the next."""
    seconds: float | None = None
    """Until it begins, about; none where nothing tells."""


class JobView(_Answer):
    """A job as its service tells it."""

    id: str
    owner: str
    state: State
    reason: str
    root: str
    path: str
    output: str
    profile: str
    config: dict[str, Any]
    executor: str
    workers: int
    only: int
    """How many ids and patterns choose its cases; 0 for all of the input."""
    limit: int | None
    overwrite: bool
    priority: int
    retry_of: str
    created: float
    started: float
    ended: float
    restarts: int
    cases: int
    queue: QueuePlace | None = None
    progress: Progress | None = None
    stages: dict[str, float] = Field(default_factory=dict)
    """Seconds of work by stage so far, over all workers; left out of lists of jobs."""
    cohort: str
    """Where the cohort is told of."""
    zarr: str
    """Where its chunks are read."""

    @classmethod
    def of(
        cls, job: Job, queue: QueuePlace | None = None, progress: Progress | None = None
    ) -> JobView:
        asked = job.asked
        return cls(
            **{name: getattr(job, name) for name in _JOB_FIELDS},
            **{name: getattr(asked, name) for name in _ASKED_FIELDS},
            config=dict(asked.config),
            only=len(asked.only),
            queue=queue,
            progress=progress,
            cohort=f"/v1/cohorts/{asked.output}",
            zarr=f"/v1/zarr/{asked.output}",
        )


_JOB_FIELDS = (
    "id",
    "owner",
    "state",
    "reason",
    "priority",
    "created",
    "started",
    "ended",
    "restarts",
    "cases",
)
_ASKED_FIELDS = (
    *("root", "path", "output", "profile", "executor", "workers", "limit", "overwrite", "retry_of"),
)


class JobPage(_Answer):
    """Jobs, newest first; ``next`` is what the next page begins after."""

    items: list[JobView]
    next: str | None = None


class PlanView(_Answer):
    """What a job would do."""

    layout: str
    cases: int
    looked_at: int
    refused: int
    refusals: list[dict[str, str]]
    unmatched: int
    bytes_in: int
    bytes_out: int
    peak_bytes: int


class RetryGroup(_Answer):
    """Cases that failed alike."""

    kind: str
    code: str
    count: int
    example: str
    advice: str
    cases: list[str]

    @classmethod
    def of(cls, group: FailureGroup, hidden: Callable[[str], str]) -> RetryGroup:
        names = ("kind", "code", "example", "advice")
        told = {name: hidden(getattr(group, name)) for name in names}
        return cls(**told, count=len(group.cases), cases=list(group.cases))


class RetryPlan(_Answer):
    """What a retry would do again."""

    cases: int
    groups: list[RetryGroup]
