"""How a run stands: a value that follows its events, and the file that outlives its terminal.

``out/.gpuprep/status.json`` is replaced whole, at most once a second and at least every ten, by a thread
of the run. It names the process, so that a reader tells a run that works from one that was killed.
"""

from __future__ import annotations

import json
import platform
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from gpuprep.host.atomic import replaced
from gpuprep.host.owners import is_gone, this_process
from gpuprep.ledger.output import find_output
from gpuprep.store.layout import STATUS_FILE
from gpuprep.store.places import Place
from gpuprep.values.errors import CorruptStoreError, StoreError
from gpuprep.values.events import (
    CaseDone,
    CaseFailed,
    CaseStarted,
    CaseTaken,
    Event,
    RunFinished,
    RunStarted,
    Waiting,
)

State = Literal["running", "finished", "paused", "died"]

_WRITE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_SILENT_SECONDS = 60.0  # after so long without a heartbeat a run out of sight counts as dead


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands. Times are seconds since the epoch, UTC; counts are cases."""

    state: State = "running"
    reason: str = ""
    """Why it paused or died, in words."""
    command: str = ""
    """What starts it again, from ``folder``."""
    folder: str = ""
    host: str = ""
    pid: int = 0
    process_started: int = 0
    """Clock ticks from boot to the start of the process; tells it from a later one of that pid."""
    machine: str = ""
    """Host, boot and process namespace, in which the pid means something; older versions left it out."""
    started: float = 0.0
    updated: float = 0.0
    backend: str = ""
    workers: int = 0
    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    running: tuple[tuple[str, float], ...] = ()
    """Cases handed out, and since when."""
    waiting: str = ""
    """What all of these wait for, while there is no worker; older versions left it out."""

    @property
    def remaining(self) -> int:
        """Cases that are neither done nor failed."""
        return max(0, self.total - self.done - self.skipped - self.failed)

    @property
    def seconds(self) -> float:
        """From the start to the last sign of life."""
        return max(0.0, self.updated - self.started)

    @property
    def rate(self) -> float:
        """Cases per second that were worked on; skipped ones cost nothing and do not count."""
        worked = self.done + self.failed
        return worked / self.seconds if worked and self.seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to the end at that rate; None where nothing tells."""
        if self.state != "running" or not self.rate:
            return None
        return self.remaining / self.rate

    @property
    def exit_code(self) -> int:
        """What ``gpuprep status`` exits with: 0 running or all done, 1 some failed, 3 it must be resumed."""
        if self.state in ("paused", "died"):
            return 3
        return 1 if self.state == "finished" and self.failed else 0

    def after(self, event: Event, now: float) -> RunState:
        """How the run stands once an event has happened."""
        match event:
            case RunStarted():
                state = replace(
                    self, total=event.cases, workers=event.workers, backend=event.backend
                )
            case CaseStarted():
                state = replace(self, running=(*self._without(event.case_id), (event.case_id, now)))
            case CaseDone(skipped=True):
                state = replace(self, skipped=self.skipped + 1)
            case CaseDone():
                state = replace(
                    self,
                    done=self.done + 1,
                    bytes_in=self.bytes_in + event.bytes_in,
                    bytes_out=self.bytes_out + event.bytes_out,
                    running=self._without(event.case_id),
                )
            case CaseFailed():
                state = replace(self, failed=self.failed + 1, running=self._without(event.case_id))
            case CaseTaken():
                state = replace(self, running=self._without(event.case_id))
            case Waiting():
                running = tuple((case, now) for case, _ in self.running)
                state = replace(self, waiting=event.what, running=running)
            case RunFinished():
                state = self._ended(event)
            case _:
                state = self
        return replace(state, updated=now)

    def _without(self, case_id: str) -> tuple[tuple[str, float], ...]:
        return tuple(entry for entry in self.running if entry[0] != case_id)

    def _ended(self, event: RunFinished) -> RunState:
        if not event.stopped and not event.remaining:
            return replace(self, state="finished", running=(), waiting="")
        reason = event.stopped or "interrupted"
        return replace(self, state="paused", reason=reason, running=(), waiting="")

    def to_json(self) -> dict[str, Any]:
        derived = {name: getattr(self, name) for name in ("remaining", "seconds", "rate", "eta")}
        running = [{"case": case, "since": since} for case, since in self.running]
        return {"schema": 1, **asdict(self), **derived, "running": running}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> RunState:
        known = {entry.name for entry in fields(cls)} - {"running"}
        running = tuple((entry["case"], entry["since"]) for entry in tree["running"])
        return cls(**{name: tree[name] for name in known & tree.keys()}, running=running)


def read_state(output: str | Place) -> RunState:
    """How the last run on an output stands.

    >>> state = read_state("cohort")
    >>> state.state, state.done, state.failed
    ('finished', 2, 0)

    Args:
        output: Its folder, or its URL; there the state is up to half a minute old.

    Raises:
        StoreError: this is no gpuprep output, or no run has left its state there.
        CorruptStoreError: the state cannot be understood.
    """
    root = find_output(output)
    file = root / STATUS_FILE
    if not file.is_file():
        raise StoreError(
            f"no run has left its state in {root}",
            advice="run the cohort again: done cases are skipped",
        )
    try:
        state = RunState.from_json(json.loads(file.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptStoreError(
            f"{file} cannot be read: {error}",
            advice="run the same command again; the run writes it anew",
        ) from None
    if state.state == "running" and not _lives(state, time.time()):
        reason = f"its process ({state.pid} on {state.host}) is gone and left no word"
        return replace(state, state="died", reason=reason)
    return state


def _lives(state: RunState, now: float) -> bool:
    started = str(state.process_started)
    gone = is_gone({"machine": state.machine, "pid": state.pid, "started": started})
    return now - state.updated < _SILENT_SECONDS if gone is None else not gone


class StateFile:
    """A listener that keeps the state of a run in its output; ``close`` it when the run is over."""

    def __init__(self, output: Path, command: str) -> None:
        self._path = output / STATUS_FILE
        now, owner = time.time(), this_process()
        self._state = RunState(
            command=command,
            folder=str(Path.cwd()),
            host=platform.node(),
            pid=owner["pid"],
            process_started=int(owner["started"]),
            machine=owner["machine"],
            started=now,
            updated=now,
        )
        self._changed = threading.Event()
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write_along, daemon=True, name="run state")

    def __call__(self, event: Event) -> None:
        self._state = self._state.after(event, time.time())
        if isinstance(event, RunStarted):
            self._write()
            self._writer.start()
        self._changed.set()

    def close(self) -> None:
        """Write down the last state; one without an end says that the run broke off."""
        self._over.set()
        self._changed.set()
        if not self._writer.ident:
            return
        self._writer.join()
        if self._state.state == "running":
            self._state = replace(self._state, state="died", reason="an error ended it", running=())
        self._write()

    def _write_along(self) -> None:
        while not self._over.wait(_WRITE_SECONDS):
            self._changed.wait(_HEARTBEAT_SECONDS)
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        """Replace the file in one step. A disk that refuses costs the state, never the run."""
        state = self._state
        if state.state == "running":
            state = replace(state, updated=time.time())
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            # Without fsync some disks lose the old one and the new one after a power cut.
            with replaced(self._path, fsync=True) as partial:
                partial.write_text(json.dumps(state.to_json(), indent=1), "utf-8")
