"""Sources that were read for viewers, the last ones kept while they fit."""

from __future__ import annotations

import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Protocol

from gpuprep.host.resources import available_memory
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.assemble import Assembled

_MOST_BYTES = 2 << 30
_SHARE = 4  # one part in so many of the memory that is free


class Read(Protocol):
    """Reads a source; ``started`` is given the process that does."""

    def __call__(self, *, started: Callable[[Sandbox], None]) -> Assembled: ...


class Sources:
    """Reads one source at a time: each may be large, and a reader is a process of its own."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """Args: bytes of decoded voxels that are kept, and that one source may have."""
        self.most_bytes = most_bytes or min(_MOST_BYTES, available_memory() // _SHARE)
        self._kept: OrderedDict[Hashable, Assembled] = OrderedDict()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._reader: Sandbox | None = None

    def get(self, key: Hashable, read: Read) -> Assembled:
        """What a source holds, as it was read before or is read now; raises as ``read`` does."""
        if (found := self._known(key)) is not None:
            return found
        with self._reading:
            if (found := self._known(key)) is not None:  # by whoever read before
                return found
            found = read(started=self._note)
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > 1 and self._bytes() > self.most_bytes:
                    self._kept.popitem(last=False)
            return found

    def _known(self, key: Hashable) -> Assembled | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def close(self) -> None:
        """End the reader that is at work; who waits for it is told that it died."""
        if self._reader is not None and (pid := self._reader.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _note(self, reader: Sandbox) -> None:
        self._reader = reader

    def _bytes(self) -> int:
        return sum(map(_size, self._kept.values()))


def _size(found: Assembled) -> int:
    return sum(array.nbytes for array in (*found.channels, *found.labels.values()))
