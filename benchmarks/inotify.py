"""Counts how often files are opened, by whichever process: Linux's inotify, which every user may use."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_OPEN, _CLOSE = 0x20, 0x18  # events of one kind that follow on one another come as one
_EVENT = struct.Struct("iIII")


class Opens:
    """Counts while it is entered; ``counts`` has every file, by its path as it was given."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = {str(file.resolve()): file for file in files}
        self._found: Counter[str] = Counter()
        self._folders: dict[int, Path] = {}
        self._end, self._told = os.pipe()

    def counts(self) -> dict[Path, int]:
        return {file: self._found[path] for path, file in self._files.items()}

    def __enter__(self) -> Opens:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for folder in {Path(path).parent for path in self._files}:
            watch = library.inotify_add_watch(self._descriptor, bytes(folder), _OPEN | _CLOSE)
            if watch < 0:
                raise OSError(ctypes.get_errno(), "inotify refuses", str(folder))
            self._folders[watch] = folder
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._told, b"x")
        self._thread.join()
        self._take()
        for descriptor in (self._descriptor, self._end, self._told):
            os.close(descriptor)

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._descriptor, self._end], [], [])
            if self._descriptor in ready:
                self._take()
            if self._end in ready:
                return

    def _take(self) -> None:
        try:
            events = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return
        place = 0
        while place < len(events):
            watch, what, _, length = _EVENT.unpack_from(events, place)
            place += _EVENT.size
            name = os.fsdecode(events[place : place + length].rstrip(b"\0"))
            place += length
            if what & _OPEN and watch in self._folders:
                self._found[str(self._folders[watch] / name)] += 1
