"""Files of cases that wait for a worker, asked of the disk before the worker asks for them."""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress

from gpuprep.case import Case

_LARGEST = 1 << 30  # bytes; more might push out of memory what others are about to read


class ReadAhead:
    """Tells the kernel which files will be read on this machine soon; it reads them while cores compute.

    Advice only: what cannot be opened is left to the reader to complain of. A thread of its own waits where
    the disk has more to do than it takes in at once.
    """

    def __init__(self) -> None:
        self._files: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._advise, name="read-ahead", daemon=True)
        self._thread.start()

    def __call__(self, case: Case) -> None:
        """The case will be read soon."""
        for file in case.files:
            self._files.put(file)

    def close(self) -> None:
        """No more advice; what was asked for may still be read."""
        self._files.put(None)

    def _advise(self) -> None:
        while (file := self._files.get()) is not None:
            with suppress(OSError, ValueError):
                advise(file)


def advise(file: str) -> None:
    """Have the kernel read a file into its page cache, where it knows how; returns before it is there.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if hasattr(os, "posix_fadvise") and os.fstat(descriptor).st_size <= _LARGEST:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(descriptor)
