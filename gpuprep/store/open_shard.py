"""A shard open for reading: its index parsed once, its chunks by memory map or by ``pread``.

A map costs no system call and no copy per chunk. ``pread`` asks the file server for exactly the bytes of a
chunk, where a map would fetch page by page, and a file that is cut meanwhile gives an error and no signal.
"""

from __future__ import annotations

import math
import mmap
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from gpuprep.store.codecs import CRC_BYTES, Bytes
from gpuprep.store.shard import MISSING
from gpuprep.values.errors import CorruptStoreError, UsageError

CrcPolicy = Literal["always", "first", "never"]
Access = Literal["mmap", "pread"]
Fetch = Callable[[int, int], Bytes]  # the bytes from an offset on, so many

_RESIDUE = 0x48674BC7  # the CRC32C of any bytes followed by their own CRC32C


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """How stored arrays are read.

    Raises:
        UsageError: a word is unknown, or there is no thread.
    """

    crc: CrcPolicy = "always"
    """When to check a chunk's CRC32C: at every read, at the first one in a process, or never."""
    access: Access = "mmap"
    """``pread`` is for network file systems."""
    threads: int = 1
    """Threads that decode one read; they end with it."""

    def __post_init__(self) -> None:
        for name, word, known in (("crc", self.crc, CrcPolicy), ("access", self.access, Access)):
            if word not in get_args(known):
                raise UsageError(f"{name} {word!r} is unknown; choose {', '.join(get_args(known))}")
        if self.threads < 1:
            raise UsageError(f"{self.threads} threads cannot read; give 1 or more")


class OpenShard:
    """The chunks of one shard file; any number of threads may ask for them.

    Attributes:
        index: Offset and length in bytes of every chunk, ``(*grid, 2)``; −1 for one that is not stored.
    """

    def __init__(
        self, descriptor: int, path: Path, grid: Sequence[int], policy: ReadPolicy
    ) -> None:
        """Read and check the index; the descriptor is the shard's from here on.

        Raises:
            CorruptStoreError: the file is cut, or its index is damaged or points outside the chunks.
        """
        close = weakref.finalize(self, os.close, descriptor)
        self._check = policy.crc != "never"
        self._checked: set[int] | None = set() if policy.crc == "first" else None
        size = os.fstat(descriptor).st_size
        self.index = _read_index(descriptor, size, path, grid)
        if policy.access == "mmap":
            self._bytes = _by_map(descriptor, size)
            close()  # the map keeps the file by itself
        else:
            self._bytes = _by_pread(descriptor)

    def holding(self, pairs: Iterable[Sequence[int]]) -> OpenShard:
        """The shard with these chunks (offset, length) at hand; a file's always are."""
        return self

    def chunk(self, offset: int, length: int) -> Bytes:
        """The compressed bytes of a chunk, without its CRC; raises ValueError where they are damaged."""
        return self.unseal(offset, self._bytes(offset, length))

    def fetch(self, pairs: Sequence[Sequence[int]]) -> list[Bytes | None]:
        """The sealed bytes of chunks by offset and length, None for one that is not stored.

        Chunks that lie side by side, as neighbours along the last axis do in a shard of ours, come with one
        read. Nothing between chunks is read: on a shared file server bytes cost more than requests.
        """
        stored = [pair for pair in pairs if pair[0] >= 0]
        if not stored:
            return [None] * len(pairs)
        if not all(before[0] + before[1] == after[0] for before, after in pairwise(stored)):
            return [None if pair[0] < 0 else self._bytes(*pair) for pair in pairs]
        start = stored[0][0]
        run = self._bytes(start, sum(length for _, length in stored))
        return [
            None if offset < 0 else run[offset - start : offset - start + length]
            for offset, length in pairs
        ]

    def unseal(self, offset: int, sealed: Bytes) -> Bytes:
        """The bytes of the chunk at ``offset`` without its CRC; raises ValueError where it does not match."""
        if self._check and (self._checked is None or offset not in self._checked):
            if google_crc32c.value(sealed) != _RESIDUE:
                raise ValueError("its CRC32C does not match")
            if self._checked is not None:
                self._checked.add(offset)
        return sealed[:-CRC_BYTES]


def _by_map(descriptor: int, size: int) -> Fetch:
    mapped = np.frombuffer(mmap.mmap(descriptor, size, prot=mmap.PROT_READ), np.uint8)
    return lambda offset, length: mapped[offset : offset + length]


def _by_pread(descriptor: int) -> Fetch:
    return lambda offset, length: np.frombuffer(_pread(descriptor, length, offset), np.uint8)


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    """The bytes from an offset on; fewer than ``length`` only at the end of the file."""
    piece = os.pread(descriptor, length, offset)
    while len(piece) < length:
        more = os.pread(descriptor, length - len(piece), offset + len(piece))
        if not more:
            break
        piece += more
    return piece


def _read_index(descriptor: int, size: int, path: Path, grid: Sequence[int]) -> NDArray[np.int64]:
    """The index at the end of a shard file of ``size`` bytes, checked against its CRC and the size."""
    length = index_bytes(grid)
    end = size - length
    if end < 0:
        raise CorruptStoreError(
            f"{path}: {size:,} bytes cannot hold an index of {length:,} bytes; it was cut",
            advice="run the case again",
        )
    return parse_index(_pread(descriptor, length, end), end, path, grid)


def parse_index(sealed: bytes, end: int, path: object, grid: Sequence[int]) -> NDArray[np.int64]:
    """The index out of its bytes and CRC, which lie from byte ``end`` of a shard on."""
    if google_crc32c.value(sealed) == _RESIDUE and len(sealed) == index_bytes(grid):
        pairs = np.frombuffer(sealed[:-CRC_BYTES], "<i8").reshape(-1, 2)
        if _points_inside(pairs, end):
            return pairs.reshape(*grid, 2)
    raise CorruptStoreError(
        f"{path}: the index of the shard is damaged or the file was cut",
        advice="run the case again",
    )


def index_bytes(grid: Sequence[int]) -> int:
    """Bytes of the index of so many chunks, with its CRC."""
    return 16 * math.prod(grid) + CRC_BYTES


def _points_inside(pairs: NDArray[np.int64], end: int) -> bool:
    """Whether every pair is absent or lies, with room for its CRC, before ``end``."""
    offset, length = pairs[:, 0], pairs[:, 1]
    absent = (offset == MISSING) & (length == MISSING)
    inside = (offset >= 0) & (offset <= end) & (length > CRC_BYTES) & (length <= end - offset)
    return bool((absent | inside).all())
