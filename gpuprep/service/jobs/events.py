"""What happens to jobs, as server-sent events; the id of an event is where its line ends in the job's file.

Whoever comes back with ``Last-Event-ID`` goes on behind it. Nothing is kept for a reader but its place in
the file, so a slow one costs nothing, and one that takes nothing for long is let go.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.05
_HEARTBEAT_SECONDS = 15.0
_BLOCK = 256 << 10
_RECENT = 64 << 10
"""Bytes at the end of a file that are told whole where the rest is told in brief."""
_ROUTINE = re.compile(rb'"event": ?"case\.(?!failed")')
"""What a line says of a case that goes its way."""
END = "end"
"""Where a reader begins that wants to know of nothing that was."""


class Feeds:
    """Files of events that grow, and those who wait for the next line."""

    def __init__(self) -> None:
        self._growing: dict[Path, tuple[int, asyncio.Event]] = {}
        self.readers = 0
        self.closed = False

    async def watch(self) -> None:
        """Look at all files that anybody waits for, for ever."""
        while not self.closed:
            for path, (size, grew) in list(self._growing.items()):
                now = _size(path)
                if now != size:
                    self._growing[path] = now, asyncio.Event()
                    grew.set()
            await asyncio.sleep(_LOOK_SECONDS)

    def close(self) -> None:
        """End all streams, as soon as each has sent what it has."""
        self.closed = True
        for _, grew in self._growing.values():
            grew.set()

    async def lines(
        self, path: Path, start: int, done: Callable[[], bool]
    ) -> AsyncIterator[tuple[int, bytes] | None]:
        """The lines of a file from a place on, each with the place behind it.

        None where nothing comes for long; ends where all was told and no more will come (``done``).
        """
        place = start if 0 <= start <= _size(path) else 0
        self.readers += 1
        try:
            while True:
                block = _read(path, place)
                for line in block.splitlines(keepends=True):
                    place += len(line)
                    yield place, line
                if block:
                    await asyncio.sleep(0)  # others are not to wait for a long file
                    continue
                if self.closed or done():
                    return
                _, grew = self._growing.setdefault(path, (_size(path), asyncio.Event()))
                if _size(path) > place:
                    continue
                try:
                    await asyncio.wait_for(grew.wait(), _HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield None
        finally:
            self.readers -= 1
            if not self.readers:
                self._growing.clear()

    async def stream(
        self,
        path: Path,
        start: int | str,
        *,
        done: Callable[[], bool] = lambda: False,
        wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
        brief: bool = False,
    ) -> AsyncGenerator[bytes]:
        """The lines that are ``wanted`` as server-sent events.

        Args:
            start: The id behind which to begin, or ``END``.
            brief: Of cases that went their way tell the latest only.
        """
        size = _size(path)
        first = size if isinstance(start, str) else start
        yield b"retry: 2000\n" + (b"id: %d\n\n" % first if start == END else b"\n")
        async for found in self.lines(path, first, done):
            if found is None:
                yield b": still here\n\n"
                continue
            place, line = found
            if brief and place < size - _RECENT and _ROUTINE.search(line):
                continue
            try:
                tree = json.loads(line)
                event = str(tree["event"])
            except (ValueError, KeyError, TypeError):  # torn by a crash
                continue
            if wanted(tree):
                yield b"id: %d\nevent: %s\ndata: %s\n\n" % (place, event.encode(), line.strip())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path, place: int) -> bytes:
    """Whole lines from a place on, one at least; empty where there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(place)
            block = file.read(_BLOCK)
            while len(block) >= _BLOCK and b"\n" not in block and (more := file.read(_BLOCK)):
                block += more
    except OSError:
        return b""
    return block[: block.rfind(b"\n") + 1]
