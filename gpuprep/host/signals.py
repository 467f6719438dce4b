"""Ctrl-C, SIGTERM and a closed terminal, once, twice and three times.

The first asks a run to drain: nothing new starts, and running cases have a while to finish. The second, or
the end of that while, stops it at once: running cases are killed and leave nothing behind. The third is
for a run that does not even get that done: the process is gone, and the next run clears up.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_CODE = 130
_AT_ONCE = 1e-6  # seconds; 0 would be no alarm


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Processes and threads that are started inside the block never see a request to stop.

    It may be sent to a whole group (a terminal, systemd, SLURM). What they do ends as their parent decides:
    a child that died of it would lose a case that could still be finished.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Whatever the block sets up for requests to stop, an import among it, is as before afterwards."""
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody do so
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


class Interrupts:
    """Counts requests to stop while the block runs; in other threads than the main one it never does.

    ``requested`` is true after the first; after the second, or once the drain has lasted its time,
    KeyboardInterrupt is raised, once and nowhere inside ``held``. The alarm clock of the process is its own
    until the first request, and again after the block.
    """

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._since = 0.0
        self._count = 0
        self._held = False
        self._before: dict[signal.Signals, Any] = {}
        self._alarm_seconds = 0.0  # of the process's own alarm, at the first request; 0 is none

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, action in self._before.items():
            signal.signal(number, action)
        if self._alarm_seconds:
            left = self._since + self._alarm_seconds - time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, max(left, _AT_ONCE))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Clearing up, which only the third request cuts short."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count == 1:
            self._since = time.monotonic()
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._end_drain)
            self._alarm_seconds, _ = signal.setitimer(signal.ITIMER_REAL, self._drain_seconds)
        elif self._count == 2:
            self._stop()
        else:
            os._exit(_EXIT_CODE)

    def _end_drain(self, number: int, frame: FrameType | None) -> None:
        if self._count == 1:
            self._stop()

    def _stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not self._held:
            self._held = True
            raise KeyboardInterrupt

    @property
    def requested(self) -> bool:
        return self._count > 0

    @property
    def drained(self) -> bool:
        """Whether running cases had their time to finish."""
        return self.requested and time.monotonic() - self._since > self._drain_seconds
