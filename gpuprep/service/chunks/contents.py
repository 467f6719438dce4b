"""What an answer is made of: an open file, an object of a store, or bytes in memory, read in pieces.

A file that lies in the page cache is read where the event loop runs, which costs less than handing it to
a thread; ``preadv`` with ``RWF_NOWAIT`` says when it does not, and only then a thread waits for the disk.
"""

from __future__ import annotations

import hashlib
import os
import weakref
from typing import Protocol

from starlette.concurrency import run_in_threadpool

from gpuprep.service.chunks.conditions import Part
from gpuprep.store.files import storage_faults
from gpuprep.store.objects.path import ObjectPath, Stored
from gpuprep.values.errors import StoreError, StoreFault

_AT_ONCE = 8 << 20  # bytes of an object that are fetched before their size is known


class Content(Protocol):
    """Bytes under a version.

    Attributes:
        etag: Strong, with its quotes.
        size: Bytes.
        modified: When it was written, whole seconds since 1970.
    """

    @property
    def etag(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def modified(self) -> int: ...

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` up to, not including, ``stop``; raises StoreError."""
        ...


class Made:
    """Bytes that were made for an answer."""

    def __init__(self, body: bytes, modified: int = 0) -> None:
        self._body = body
        self.size, self.modified = len(body), modified
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    async def read(self, start: int, stop: int) -> bytes:
        return self._body[start:stop]


class OpenFile:
    """A file that stays open as long as somebody holds this; its bytes are never mixed with a successor's."""

    def __init__(self, descriptor: int, path: object) -> None:
        """Take over the descriptor of a path; until told better, the tag is that of ``tag_of_stat``."""
        weakref.finalize(self, os.close, descriptor)
        self._descriptor, self._path = descriptor, path
        found = os.fstat(descriptor)
        self.size, self.modified = found.st_size, int(found.st_mtime)
        self.etag = tag_of_stat(found)

    async def read(self, start: int, stop: int) -> bytes:
        piece = self._at_hand(start, stop - start)
        while len(piece) < stop - start:
            at, length = start + len(piece), stop - start - len(piece)
            with storage_faults(self._path, what="read"):
                more = await run_in_threadpool(os.pread, self._descriptor, length, at)
            if not more:
                raise StoreFault(f"{self._path}: it was cut while it was read", advice="ask again")
            piece += more
        return piece

    def _at_hand(self, start: int, length: int) -> bytes:
        """What of it can be had at once, none where the file system cannot tell."""
        buffer = bytearray(length)
        try:
            found = os.preadv(self._descriptor, [buffer], start, os.RWF_NOWAIT)
        except OSError:
            return b""
        return bytes(buffer if found == length else buffer[:found])


class StoredObject:
    """An object of a store; every request names its version."""

    def __init__(
        self, path: ObjectPath, stored: Stored, held: bytes = b"", held_from: int = 0
    ) -> None:
        """An object as a look at it told, and the bytes that came with the look."""
        self._path, self.etag = path, stored.etag
        self.size, self.modified = stored.size, int(stored.modified.timestamp())
        self._held, self._from = held, held_from

    async def read(self, start: int, stop: int) -> bytes:
        if self._from <= start and stop <= self._from + len(self._held):
            return self._held[start - self._from : stop - self._from]
        content, _ = await run_in_threadpool(self._path.read, (start, stop), etag=self.etag)
        return bytes(content)


def look_at(path: ObjectPath) -> StoredObject | None:
    """An object by its head; None for none."""
    found = path.stat()
    return None if found is None else StoredObject(path, found)


def fetch_part(path: ObjectPath, part: Part) -> StoredObject | None:
    """An object and a part of it in one request; None where that does not go, for any reason."""
    first, last = part.spec
    assert last is not None
    length = last if first is None else last - first + 1
    if not 0 < length <= _AT_ONCE:
        return None
    try:
        asked = {"suffix": length} if first is None else (first, last + 1)
        content, stored = path.read(asked, etag=part.etag)
    except StoreError:
        return None
    held = bytes(content)
    start = first if first is not None else stored.size - len(held)
    return StoredObject(path, stored, held, start) if held else None


def tag_of_stat(found: os.stat_result) -> str:
    """A strong tag of a file that has no checksum.

    gpuprep appends to a file, which changes its size, or puts another in its place, which has another
    inode and time; so bytes never change under equal inode, size and time in nanoseconds.
    """
    text = f"{found.st_dev}-{found.st_ino}-{found.st_size}-{found.st_mtime_ns}"
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
