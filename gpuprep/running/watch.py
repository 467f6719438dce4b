"""Two eyes on a run: cases that fail alike one after the other, and workers that no longer finish any."""

from __future__ import annotations

import statistics
import time
from collections import deque

from gpuprep.values.events import CaseFailed

_REMEMBERED = 101
_MEDIANS = 10


class Storm:
    """Sees ``most`` different cases in a row fail in the same way, of anything but their own files."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kind = ("", "")
        self._cases: set[str] = set()

    def calm(self) -> None:
        """A case was done: whatever the others met, it is not everywhere."""
        self._cases.clear()

    def add(self, failure: CaseFailed) -> str:
        """Count a failed attempt; returns why the run should stop, if it should."""
        if failure.kind == "input":
            return ""
        kind = failure.kind, failure.code
        if kind != self._kind:
            self._kind = kind
            self._cases.clear()
        self._cases.add(failure.case_id)
        if len(self._cases) < self._most:
            return ""
        return (
            f"{len(self._cases)} cases in a row failed alike, the last one with {failure.code}: "
            f"{failure.message}; {failure.advice or 'find the cause, then run the same command again'}"
        )


class Watchdog:
    """Tells when no case has been finished for much longer than cases take.

    A rebuilt cluster is given twice the time, so that one long case is not begun for ever.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._taken: deque[float] = deque(maxlen=_REMEMBERED)
        self._since = time.monotonic()

    def rest(self) -> None:
        """Nothing was in flight so far."""
        self._since = time.monotonic()

    def feed(self, seconds: float | None) -> None:
        """A case came back, done after so many seconds of work, or not done (None)."""
        if seconds is not None:
            self._taken.append(seconds)
        self.rest()

    def bite(self) -> str:
        """What is wrong, if something is; the next time takes twice as long."""
        longest = max(self._seconds, _MEDIANS * statistics.median(self._taken or [0.0]))
        silent = time.monotonic() - self._since
        if silent <= longest:
            return ""
        self._seconds = 2 * longest
        self.rest()
        return f"no case was finished for {silent:.0f} s"
