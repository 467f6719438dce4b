"""A job: what was asked, how it stands, and the events that tell of it. Its folder is in ``job_folder``."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from gpuprep.store.files import append_bytes
from gpuprep.values.errors import RunStopped, StoreError

EVENTS_FILE = "events.jsonl"
ID = "[0-9a-f]{20}"

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

    @property
    def is_local(self) -> bool:
        """Whether it takes workers, memory and devices of this machine; a cluster's are its own."""
        return self.executor in ("local", "serial")


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
        told = {name: getattr(self, name) for name in _OF_JOB}  # asdict copies all of a config
        return {**told, "asked": {name: getattr(self.asked, name) for name in _OF_ASKED}}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> Job:
        given = {**tree["asked"], "only": tuple(tree["asked"].get("only", ()))}
        asked = Asked(**{name: given[name] for name in _OF_ASKED if name in given})
        return cls(**{**{name: tree[name] for name in _OF_JOB if name in tree}, "asked": asked})


_OF_JOB = tuple(entry.name for entry in fields(Job))
_OF_ASKED = tuple(entry.name for entry in fields(Asked))


def new_id() -> str:
    """An id that nobody guesses; ids of a later time sort behind."""
    return f"{int(time.time()):08x}{secrets.token_hex(6)}"


def tell(path: Path, event: str, **more: Any) -> None:
    """Append an event to a file of events; a disk that refuses costs this line, and no other."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"time": stamp, "event": event, **more}) + "\n"
    with suppress(OSError, StoreError, RunStopped):
        append_bytes(path, line.encode())
