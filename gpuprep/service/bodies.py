"""What requests hold and what answers hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gpuprep.ledger.failures import FailureGroup
from gpuprep.service.jobs import Job, State
from gpuprep.service.settings import NAME

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
JobId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{20}$")]
RelativePath = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00-\x1f\x7f]*$")]
CasePattern = Annotated[
    str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobRequest(_Body):
    """A cohort to be made."""

    root: Name
    """One of the service's roots."""
    path: RelativePath = ""
    """The input below the root: a folder, a manifest, a ``dataset.json`` or a single file."""
    output: Name
    """The cohort's name."""
    config: dict[str, Any] | Name = Field(default_factory=dict)
    """A config, or the name of a profile."""
    executor: Name = "local"
    workers: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Worker processes; by default an equal share of the service's."""
    only: Annotated[tuple[CasePattern, ...], Field(max_length=100_000)] = ()
    """Only these cases; patterns such as ``liver_*`` take in several."""
    limit: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    overwrite: bool = False
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    webhook: (
        Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[!-~]+$")] | None
    ) = None
    """Is told when the job ends; its host must be one of the service's list."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
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

    priority: Annotated[int, Field(ge=0, le=9)]


class Progress(BaseModel):
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


class QueuePlace(BaseModel):
    """Where a job stands in the queue."""

    position: int
    """1 is the next."""
    seconds: float | None = None
    """Until it begins, about; none where nothing tells."""


class JobView(BaseModel):
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


class JobPage(BaseModel):
    """Jobs, newest first; ``next`` is what the next page begins after."""

    items: list[JobView]
    next: str | None = None


class PlanView(BaseModel):
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


class RetryGroup(BaseModel):
    """Cases that failed alike."""

    kind: str
    code: str
    count: int
    example: str
    advice: str
    cases: list[str]

    @classmethod
    def of(cls, group: FailureGroup) -> RetryGroup:
        names = ("kind", "code", "example", "advice")
        told = {name: getattr(group, name) for name in names}
        return cls(**told, count=len(group.cases), cases=list(group.cases))


class RetryPlan(BaseModel):
    """What a retry would do again."""

    cases: int
    groups: list[RetryGroup]
