"""Ctrl-C, SIGTERM and a closed terminal: the first asks a run to drain, the second to stop at once."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Counts requests to stop while the block runs; in other threads than the main one it never does.

    ``requested`` is true after the first; the second and later ones raise KeyboardInterrupt.
    """

    def __init__(self, drain_seconds: float) -> None:
        self._drain_seconds = drain_seconds
        self._since = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._since:
            raise KeyboardInterrupt
        self._since = time.monotonic()

    @property
    def requested(self) -> bool:
        return self._since > 0

    @property
    def drained(self) -> bool:
        """Whether running cases had their time to finish."""
        return self.requested and time.monotonic() - self._since > self._drain_seconds
