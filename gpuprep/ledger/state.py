"""How a run stands, in a file that outlives its terminal.

``out/.gpuprep/status.json`` is replaced whole, at most once a second and at least every ten, by a thread
of the run. It names the process, so that a reader tells a run that works from one that was killed.
"""

from __future__ import annotations

import json
import platform
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gpuprep.host.atomic import replaced
from gpuprep.host.owners import is_gone, this_process
from gpuprep.ledger.output import find_output
from gpuprep.ledger.run_state import RunState, keep_in_hand
from gpuprep.store.layout import STATUS_FILE
from gpuprep.store.places import Place
from gpuprep.values.errors import CorruptStoreError, StoreError
from gpuprep.values.events import Event, RunStarted

_WRITE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 10.0
_SILENT_SECONDS = 60.0  # after so long without a heartbeat a run out of sight counts as dead


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
        self._running: dict[
            str, float
        ] = {}  # apart from the state, which would copy them all at each event
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._over = threading.Event()
        self._writer = threading.Thread(target=self._write_along, daemon=True, name="run state")

    def __call__(self, event: Event) -> None:
        now = time.time()
        with self._lock:
            self._state = self._state.counted(event, now)
            keep_in_hand(self._running, event, now)
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
            self._state = replace(self._state, state="died", reason="an error ended it")
            self._running.clear()
        self._write()

    def _write_along(self) -> None:
        while not self._over.wait(_WRITE_SECONDS):
            self._changed.wait(_HEARTBEAT_SECONDS)
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        """Replace the file in one step. A disk that refuses costs the state, never the run."""
        with self._lock:
            state = replace(self._state, running=tuple(self._running.items()))
        if state.state == "running":
            state = replace(state, updated=time.time())
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            # Without fsync some disks lose the old one and the new one after a power cut.
            with replaced(self._path, fsync=True) as partial:
                partial.write_text(json.dumps(state.to_json(), indent=1), "utf-8")
