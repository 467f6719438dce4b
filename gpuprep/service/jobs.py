"""A job: what was asked, how it stands, and its folder, which is the truth about it.

    jobs/<id>/job.json       what was asked, by whom and when
              child.json     the process at work on it: pid, start, machine
              begun          its run has begun
              cancel         it is to end (its child is told by a signal, too)
              end.json       how it ended
              events.jsonl   what happened, line by line
              output.txt     what the process printed

The database is made from these folders where it is lost.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from gpuprep.host.atomic import fsync_path, make_folder, replaced
from gpuprep.host.owners import is_gone
from gpuprep.values.errors import CorruptStoreError

JOBS_FOLDER = "jobs"
JOB_FILE = "job.json"
CHILD_FILE = "child.json"
BEGUN_FILE = "begun"
CANCEL_FILE = "cancel"
END_FILE = "end.json"
EVENTS_FILE = "events.jsonl"
OUTPUT_FILE = "output.txt"

State = Literal[
    "queued",
    "starting",
    "running",
    "cancelling",
    "succeeded",
    "succeeded_with_failures",
    "paused",
    "failed",
    "cancelled",
]
WORKING: frozenset[State] = frozenset({"starting", "running", "cancelling"})
RESUMABLE: frozenset[State] = frozenset(
    {"succeeded_with_failures", "paused", "failed", "cancelled"}
)
ENDED: frozenset[State] = RESUMABLE | {"succeeded"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asked for; ``config`` is complete, whatever a profile's name says later."""

    root: str
    path: str
    output: str
    config: Mapping[str, Any] = field(default_factory=dict)
    profile: str = ""
    executor: str = "local"
    workers: int = 1
    only: tuple[str, ...] = ()
    limit: int | None = None
    overwrite: bool = False
    retry_of: str = ""
    webhook: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a cohort, from its submission to its end. Times are seconds since the epoch."""

    id: str
    owner: str
    asked: Asked
    created: float
    priority: int = 5
    """0 to 9; higher ones of one user come first."""
    state: State = "queued"
    reason: str = ""
    """Why it did not succeed, in words."""
    started: float = 0.0
    ended: float = 0.0
    restarts: int = 0
    """How often it was begun again because its process was gone."""
    memory: int = 0
    """Bytes that the plan projects for its workers together."""
    cases: int = 0
    """Cases of its input when it was submitted."""
    key: str = ""
    """The client's Idempotency-Key, and the hash of what came with it."""
    seq: int = 0
    """Order of submission."""

    @property
    def is_over(self) -> bool:
        return self.state in ENDED

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Job:
        given = {**tree["asked"], "only": tuple(tree["asked"].get("only", ()))}
        known = {entry.name for entry in fields(cls)}
        asked = Asked(
            **{entry.name: given[entry.name] for entry in fields(Asked) if entry.name in given}
        )
        return cls(**{**{name: tree[name] for name in known & tree.keys()}, "asked": asked})


def new_id() -> str:
    """An id that nobody guesses; ids of a later time sort behind."""
    return f"{int(time.time()):08x}{secrets.token_hex(6)}"


class JobFolder:
    """The folder of one job."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    @classmethod
    def make(cls, jobs: Path, job: Job) -> JobFolder:
        """The folder of a new job, there for good; OSError where the disk refuses, with nothing left."""
        made = cls(jobs / job.id)
        make_folder(made.path)
        try:
            made.keep(job)
            fsync_path(made.path)
        except BaseException:
            made.remove()
            raise
        return made

    def keep(self, job: Job) -> None:
        """Write down what a job is."""
        with replaced(self.path / JOB_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(job.to_json(), indent=1), "utf-8")

    def remove(self) -> None:
        """Take the folder away, as far as it can be."""
        for entry in self.path.iterdir():
            with suppress(OSError):
                entry.unlink()
        with suppress(OSError):
            self.path.rmdir()

    def read(self) -> Job:
        """The job as its folder tells: what was asked, and whether it is at work, to be cancelled or over.

        Raises:
            CorruptStoreError: the folder does not say what the job is.
        """
        try:
            job = Job.from_json(json.loads((self.path / JOB_FILE).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptStoreError(f"{self.path / JOB_FILE} cannot be read: {error}") from None
        if job.is_over:  # of its last round; it may have been resumed since
            job = replace(job, state="queued")
        end = self.end()
        if end is not None:
            return replace(job, state=end["state"], reason=end["reason"], ended=end["ended"])
        if self.lives():
            return replace(job, state="cancelling" if self.is_cancelled else "running")
        return replace(job, state="cancelling" if self.is_cancelled else "queued")

    def end(self) -> dict[str, Any] | None:
        """How the job ended; None where it has not, or where that was not written whole."""
        try:
            tree = json.loads((self.path / END_FILE).read_bytes())
            return {"state": tree["state"], "reason": tree["reason"], "ended": float(tree["ended"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def close(self, state: State, reason: str = "") -> None:
        """Write down how the job ended."""
        with replaced(self.path / END_FILE, fsync=True) as partial:
            tree = {"state": state, "reason": reason, "ended": time.time()}
            partial.write_text(json.dumps(tree), "utf-8")

    def reopen(self) -> None:
        """Forget the last end and the request to cancel; the job is to go on."""
        for name in (BEGUN_FILE, CANCEL_FILE, CHILD_FILE, END_FILE):
            (self.path / name).unlink(missing_ok=True)

    def cancel(self) -> None:
        """Ask for the end of the job, for whoever looks next."""
        (self.path / CANCEL_FILE).touch()
        fsync_path(self.path)

    @property
    def is_cancelled(self) -> bool:
        return (self.path / CANCEL_FILE).exists()

    def begin(self) -> None:
        """The run of the job has begun."""
        with suppress(OSError):
            (self.path / BEGUN_FILE).touch()

    @property
    def has_begun(self) -> bool:
        return (self.path / BEGUN_FILE).exists()

    def child(self) -> dict[str, Any] | None:
        """The process that has, or had, the job."""
        try:
            tree = json.loads((self.path / CHILD_FILE).read_bytes())
            return {name: tree[name] for name in ("machine", "pid", "started")}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def lives(self) -> bool:
        """Whether a process is at work on the job; one of another machine counts as alive."""
        child = self.child()
        return child is not None and is_gone(child) is not True

    def tell(self, event: str, **more: Any) -> None:
        """Append a line to what happened; a disk that refuses costs the line."""
        tell(self.path / EVENTS_FILE, event, **more)


def tell(path: Path, event: str, **more: Any) -> None:
    """Append an event to a file of events; a disk that refuses costs the line."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time() % 1:.3f}"[2:] + "Z"
    line = json.dumps({"time": stamp, "event": event, **more}) + "\n"
    with suppress(OSError), path.open("ab", buffering=0) as file:
        file.write(line.encode())
