"""The folder of a job, which is the truth about it; the database is made from these where it is lost.

jobs/<id>/job.json       what was asked, by whom and when
          room           the space that end.json will need, taken when the job is accepted
          start.json     what its process is told, when it was last begun, and how often before
          child.json     the process at work on it: pid, start, machine; there before it does anything
          begun          its run has begun
          cancel         it is to end (its process is told by a signal, too)
          drained        its process was told to finish its cases, as the service was ended
          end.json       how it ended
          events.jsonl   what happened, line by line
          output.txt     what the process printed
          lock           held by the process at work on it
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import fsync_path, make_folder, replaced
from gpuprep.host.owners import is_gone
from gpuprep.service.jobs.job import EVENTS_FILE, Job, State, tell
from gpuprep.values.errors import CorruptStoreError

JOBS_FOLDER = "jobs"
JOB_FILE = "job.json"
START_FILE = "start.json"
CHILD_FILE = "child.json"
BEGUN_FILE = "begun"
CANCEL_FILE = "cancel"
DRAINED_FILE = "drained"
END_FILE = "end.json"
OUTPUT_FILE = "output.txt"
LOCK_FILE = "lock"
_ROOM_FILE = "room"
_ROOM_BYTES = 4096
_REASON_LENGTH = 1000
# What a folder may hold whose job was never accepted; nothing else is there before job.json.
_TORN = {_ROOM_FILE, f".{JOB_FILE}.partial"}


@dataclass(frozen=True, slots=True)
class End:
    """How a job ended, in its process's words or the service's."""

    state: State
    reason: str = ""
    ended: float = 0.0
    interrupted: bool = False
    """A signal ended it that did not come from a request to cancel; it is to go on."""


class JobFolder:
    """The folder of one job. Whatever writes raises OSError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    @classmethod
    def make(cls, jobs: Path, job: Job) -> JobFolder:
        """The folder of a new job, there for good; OSError where the disk refuses, with nothing left."""
        made = cls(jobs / job.id)
        try:
            make_folder(made.path)
            (made.path / _ROOM_FILE).write_bytes(b" " * _ROOM_BYTES)
            fsync_path(made.path / _ROOM_FILE)
            made.keep(job)
        except BaseException:
            made.remove()
            raise
        return made

    @property
    def is_torn(self) -> bool:
        """Whether its job was never accepted: the service died, or the disk refused, before job.json."""
        with suppress(OSError):
            return {entry.name for entry in self.path.iterdir()} <= _TORN
        return False

    def keep(self, job: Job) -> None:
        """Write down what a job is."""
        with replaced(self.path / JOB_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(job.to_json(), indent=1), "utf-8")
        fsync_path(self.path)

    def remove(self) -> bool:
        """Take the folder away, what was asked first; whether it is gone."""
        with suppress(OSError):
            (self.path / JOB_FILE).unlink(missing_ok=True)
            for entry in self.path.iterdir():
                entry.unlink()
            self.path.rmdir()
        return not (self.path / JOB_FILE).exists()

    def read(self) -> Job:
        """The job as its folder tells: what was asked, and whether it is at work, to be cancelled or over.

        Raises:
            CorruptStoreError: the folder does not say what the job is.
        """
        try:
            job = Job.from_json(json.loads((self.path / JOB_FILE).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptStoreError(f"{self.path / JOB_FILE} cannot be read: {error}") from None
        with suppress(ValueError, TypeError):
            start = self.start()
            restarts, started = int(start.get("restarts", 0)), float(start.get("started", 0.0))
            job = replace(job, restarts=restarts, started=started)
        end = self.end()
        if end is not None:
            return replace(job, state=end.state, reason=end.reason, ended=end.ended)
        if self.is_cancelled:
            return replace(job, state="cancelling")
        if self.child() is None:
            return replace(job, state="queued", started=0.0)
        return replace(job, state="running" if self.has_begun else "starting")

    def end(self) -> End | None:
        """How the job ended; None where it has not, or where that was not written whole."""
        try:
            tree = json.loads((self.path / END_FILE).read_bytes())
            ended, interrupted = float(tree["ended"]), bool(tree.get("interrupted", False))
            return End(tree["state"], str(tree["reason"]), ended, interrupted)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def end_stamp(self) -> int:
        """Tells one end from another without reading it; 0 where there is none."""
        try:
            return (self.path / END_FILE).stat().st_mtime_ns
        except OSError:
            return 0

    def close(self, state: State, reason: str = "", *, interrupted: bool = False) -> End:
        """Write down how the job ended, in the room that was kept for it: the disk may be full by now."""
        reason = reason if len(reason) <= _REASON_LENGTH else f"{reason[:_REASON_LENGTH]} …"
        end = End(state, reason, time.time(), interrupted)
        tree = {"state": state, "reason": reason, "ended": end.ended, "interrupted": interrupted}
        text = json.dumps(tree).encode().ljust(_ROOM_BYTES)
        room = self.path / _ROOM_FILE
        with suppress(FileNotFoundError):
            with room.open("r+b", buffering=0) as file:
                file.write(text)
                os.fsync(file.fileno())
            room.replace(self.path / END_FILE)
            return end
        with replaced(self.path / END_FILE, fsync=True) as partial:
            partial.write_bytes(text)
        return end

    def reopen(self) -> None:
        """Forget the last end and the request to cancel; the job is to go on. Takes no room on the disk."""
        for name in (BEGUN_FILE, CANCEL_FILE, CHILD_FILE, DRAINED_FILE):
            (self.path / name).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            (self.path / END_FILE).replace(self.path / _ROOM_FILE)
        fsync_path(self.path)

    def cancel(self) -> None:
        """Ask for the end of the job, for whoever looks next."""
        (self.path / CANCEL_FILE).touch()
        fsync_path(self.path)

    @property
    def is_cancelled(self) -> bool:
        return (self.path / CANCEL_FILE).exists()

    def drain(self) -> None:
        """Note that the process is told to finish its cases, and the job to go on later."""
        with suppress(OSError):
            (self.path / DRAINED_FILE).touch()

    @property
    def is_drained(self) -> bool:
        return (self.path / DRAINED_FILE).exists()

    def begin(self) -> None:
        """The run of the job has begun."""
        with suppress(OSError):
            (self.path / BEGUN_FILE).touch()

    @property
    def has_begun(self) -> bool:
        return (self.path / BEGUN_FILE).exists()

    def start(self) -> dict[str, Any]:
        """What the process is, or was last, told; empty where the job was never begun."""
        with suppress(OSError, ValueError):
            tree = json.loads((self.path / START_FILE).read_bytes())
            return tree if isinstance(tree, dict) else {}
        return {}

    def set_start(self, start: dict[str, Any]) -> None:
        with replaced(self.path / START_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(start), "utf-8")

    def child(self) -> dict[str, Any] | None:
        """The process that has, or had, the job."""
        try:
            tree = json.loads((self.path / CHILD_FILE).read_bytes())
            return {
                "machine": str(tree["machine"]),
                "pid": int(tree["pid"]),
                "started": str(tree["started"]),
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def set_child(self, child: dict[str, Any]) -> None:
        with replaced(self.path / CHILD_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(child), "utf-8")

    def lives(self) -> bool:
        """Whether a process is at work on the job.

        Of one that another boot or another container started only the lock tells.
        """
        child = self.child()
        if child is None:
            return False
        gone = is_gone(child)
        return self._is_locked() if gone is None else not gone

    def _is_locked(self) -> bool:
        try:
            with (self.path / LOCK_FILE).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def tell(self, event: str, **more: Any) -> None:
        """Append a line to what happened, unless it is the last one: the service may have died behind it."""
        if self._last_event() != event:
            tell(self.path / EVENTS_FILE, event, **more)

    def _last_event(self) -> str:
        try:
            with (self.path / EVENTS_FILE).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _ROOM_BYTES))
                return str(json.loads(file.read().splitlines()[-1])["event"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return ""
