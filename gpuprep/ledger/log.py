"""What happened in a run, event by event, as JSON lines for machines; Python's own logging says the same.

One file per run in ``out/logs/``, its newest part bounded, the oldest runs dropped. A line has the time in
UTC, the event's stable name, and the case and attempt it is about. Voxels, header texts, messages and
paths stay out of it: a log may travel further than the scans. Reasons in words are in ``failures.jsonl``.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gpuprep.store.files import append_bytes, json_line
from gpuprep.store.layout import LOGS_FOLDER
from gpuprep.values.errors import RunStopped, StoreError
from gpuprep.values.events import (
    CaseChanged,
    CaseDone,
    CaseFailed,
    CaseMeasured,
    CaseStarted,
    CaseTaken,
    CohortPass,
    Event,
    Notice,
    RunFinished,
    RunStarted,
    Waiting,
)

_KEPT_RUNS = 20
_MOST_BYTES = 64 << 20  # of a run's newest part; one earlier part is kept beside it

_logger = logging.getLogger("gpuprep.run")
logging.getLogger("gpuprep").addHandler(logging.NullHandler())  # quiet until the user asks


class RunLog:
    """A listener that writes every event of a run down.

    A disk that refuses costs the log, never the run. No file stays open between events, so that the disk can
    be unmounted or made read-only.
    """

    def __init__(
        self, output: Path, *, most_bytes: float = _MOST_BYTES, file: Path | None = None
    ) -> None:
        """The log of a run on ``output``; or ``file``, to which lines are added."""
        self._folder = output / LOGS_FOLDER
        own = self._folder / f"run-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"
        self._path = file or own
        self._is_own = file is None
        self._most_bytes = most_bytes
        self._written = 0
        self._attempts: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        name, fields = self._described(event)
        level = logging.WARNING if isinstance(event, CaseFailed) else logging.INFO
        if _logger.isEnabledFor(level):
            _logger.log(level, "%s %s", name, fields)
        line = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "event": name, **fields}
        text = json_line(line)
        with suppress(OSError, StoreError, RunStopped):
            if isinstance(event, RunStarted) and self._is_own:
                self._begin()
            append_bytes(self._path, text)
            self._turn_over(len(text))

    def _begin(self) -> None:
        self._folder.mkdir(exist_ok=True)
        for old in sorted(self._folder.glob("run-*.jsonl"))[: 1 - _KEPT_RUNS]:
            old.unlink(missing_ok=True)
            Path(f"{old}.1").unlink(missing_ok=True)

    def _turn_over(self, written: int) -> None:
        """Begin a new part when this one is full; the part before the last is given up."""
        self._written += written
        if self._written > self._most_bytes:
            self._path.replace(f"{self._path}.1")
            self._written = 0

    def _described(self, event: Event) -> tuple[str, dict[str, Any]]:
        """The stable name of an event and its fields."""
        match event:
            case CaseStarted():
                self._attempts[event.case_id] = event.attempt
                return "case.started", {"case": event.case_id, "attempt": event.attempt}
            case CaseChanged():
                return "case.changed", {"case": event.case_id, "cause": event.cause}
            case CaseDone(skipped=True):
                return "case.skipped", {"case": event.case_id}
            case CaseDone():
                done = _fields(event, "seconds", "bytes_in", "bytes_out", "findings")
                return "case.done", {**self._bound(event.case_id), **done}
            case CaseFailed():
                failed = _fields(event, "kind", "code", "retry")
                return "case.failed", {**self._bound(event.case_id), **failed}
            case CaseTaken():
                return "case.taken", self._bound(event.case_id)
            case CaseMeasured():
                return "case.measured", {"case": event.case_id}
        return _described_run(event)

    def _bound(self, case_id: str) -> dict[str, Any]:
        """The case, and which attempt at it in this run this was."""
        return {"case": case_id, "attempt": self._attempts.pop(case_id, 1)}


def _described_run(event: Event) -> tuple[str, dict[str, Any]]:
    """The same of events that are about no case."""
    match event:
        case RunStarted():
            return "run.started", _fields(event, "cases", "workers", "backend")
        case RunFinished():
            counts = _fields(event, "done", "skipped", "failed", "remaining", "seconds")
            return "run.finished", {**counts, "stopped": bool(event.stopped)}
        case CohortPass():
            return "run.measuring", _fields(event, "cases", "known")
        case Waiting():
            return "run.waiting", {"waits": bool(event.what)}
        case Notice():
            return "run.notice", {"files": len(event.paths) + event.more}
    return "run.other", {}


def _fields(event: Event, *names: str) -> dict[str, Any]:
    return {name: getattr(event, name) for name in names}
