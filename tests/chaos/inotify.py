"""Which files of a folder are opened, by any process: Linux's inotify through the C library."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_OPEN = 0x20


class Watch:
    """Sees every ``open`` of a file directly in ``folder``; looking at its name or size is none."""

    def __init__(self, folder: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watched = library.inotify_add_watch(self._descriptor, os.fsencode(folder), _IN_OPEN)
        if self._descriptor < 0 or watched < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def opened(self) -> list[str]:
        """Names of files that were opened since the last call."""
        try:
            events = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return []
        names, at = [], 0
        while at < len(events):
            _, _, _, length = struct.unpack_from("iIII", events, at)
            name = events[at + 16 : at + 16 + length].rstrip(b"\0")
            names.append(os.fsdecode(name))
            at += 16 + length
        return names
