"""Trust in bytes: read once from front to back, decompressed, counted and hashed on the way.

Nothing here knows a format. Readers state how many bytes they need; a file that has fewer, or whose gzip
checksum does not hold, is refused before its voxels go anywhere, and no buffer is made for voxels that
the file cannot possibly hold.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from isal import igzip, isal_zlib

from gpuprep.io.hashed import STEP, HashedFile
from gpuprep.io.inflate import MOST_PACKED, inflate_whole
from gpuprep.io.room import room_before
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import FileIdentity, Voxels
from gpuprep.values.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
_TRAILER = 8  # bytes: CRC-32 and length modulo 2³² of what a gzip member holds


class _Zlib(io.RawIOBase):
    """The contents of a zlib stream; its checksum is compared at the end."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__()
        self._file = file
        self._stream = isal_zlib.decompressobj(15)
        self._tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._inflated(len(buffer))  # what the stream holds back comes before new bytes
        while not piece and not self._stream.eof:
            if not self._tail and not (read := self._file.read1(STEP // 8)):
                raise EOFError
            self._tail = self._tail or read
            piece = self._inflated(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _inflated(self, count: int) -> bytes:
        piece: bytes = b"" if self._stream.eof else self._stream.decompress(self._tail, count)
        self._tail = self._stream.unconsumed_tail
        return piece


class ByteSource:
    """The contents of one file, decompressed on the way.

    ``encoding`` says what begins ``start`` bytes into the file: ``auto`` is gzip or plain bytes,
    ``deflate`` is gzip or zlib, ``raw`` is plain bytes whatever they look like. Names are never asked.
    Read front to back with ``read``, ``skip`` and ``fill``; ``finish`` then proves that the rest is sound
    and gives the file's identity. Use it as a context manager.
    """

    def __init__(
        self, path: Path, *, start: int = 0, encoding: Literal["auto", "deflate", "raw"] = "auto"
    ) -> None:
        self.path = path
        self._file = HashedFile(path)
        self.size = self._file.size
        buffered = io.BufferedReader(self._file, STEP // 8)
        whole = start == 0
        self._start = start
        while start > 0 and (passed := buffered.read(min(start, STEP))):
            start -= len(passed)
        gzipped = encoding != "raw" and buffered.peek(2)[:2] == GZIP_MAGIC
        self._gzipped, self._ended = gzipped, False
        self._all_gzip = gzipped and encoding == "auto" and whole
        self.deflated = gzipped or encoding == "deflate"
        self._bytes: io.IOBase = buffered
        if gzipped:
            self._bytes = igzip.IGzipFile(fileobj=buffered, mode="rb")
        elif self.deflated:
            self._bytes = _Zlib(buffered)
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bytes.close()
        self._file.close()

    def read(self, count: int) -> bytes:
        """Exactly ``count`` bytes, or fewer at the end of the file."""
        buffer = bytearray(count)
        return bytes(buffer[: self._into(memoryview(buffer))])

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        step = memoryview(bytearray(min(count, STEP)))
        left = count
        while left > 0 and (got := self._into(step[: min(left, STEP)])):
            left -= got

    def pieces(self, count: int, step: int) -> Iterator[memoryview]:
        """The next ``count`` bytes, piece by piece, each a whole number of ``step`` bytes long.

        Raises:
            InputError: as ``fill``.
        """
        start, left = self.position, count
        buffer = memoryview(bytearray(min(count, STEP // step * step)))
        while left > 0:
            wanted = buffer[: min(left, len(buffer))]
            if (got := self._into(wanted)) < len(wanted):
                raise self._too_short(start, start + count - left + got, count)
            yield wanted
            left -= got

    def fill(self, voxels: Voxels) -> None:
        """Read straight into a C-contiguous array; nothing is copied.

        If room lies before the array (see ``room``), its bytes may be anything afterwards.

        Raises:
            InputError: E_TRUNCATED if the file ends early, E_UNREADABLE if its compression is damaged.
        """
        if self._inflated_at_once(voxels):
            return
        view = memoryview(voxels.reshape(-1).view(np.uint8).data)
        start = self.position
        if (got := self._into(view)) < len(view):
            raise self._too_short(start, start + got, len(view))

    def _too_short(self, start: int, end: int, count: int) -> InputError:
        text = f"the contents end after {end:,} bytes, but the header declares {start + count:,}"
        return self._damaged("E_TRUNCATED", text)

    def _inflated_at_once(self, voxels: Voxels) -> bool:
        """Whether the stream ends with these voxels and was inflated as a whole; else nothing was read."""
        lead = self.position
        if not self.deflated or lead >= room_before(voxels) or self.size > MOST_PACKED:
            return False
        if (read := self._file.whole()) is None:
            return False
        packed, digest = read
        place, size = voxels.ctypes.data - lead, lead + voxels.nbytes
        if not inflate_whole(packed[self._start :], place, size, gzip=self._gzipped):
            return False
        self._file.was_read(digest)
        self.position, self._ended = size, True
        return True

    def finish(self, rules: ReadRules) -> FileIdentity:
        """Read to the end, so that every checksum inside the file was compared.

        Raises:
            InputError: E_UNREADABLE for damaged compression, E_LIMIT for endless trailing bytes.
        """
        step = memoryview(bytearray(STEP))
        while self._into(step):
            if self.position > 2 * rules.max_bytes:
                text = f"where {rules.max_bytes:,} voxel bytes are allowed"
                text = f"more than {self.position:,} bytes, {text}"
                raise InputError("E_LIMIT", text, path=str(self.path))
        identity = self._file.identity()
        trailer = self._file.tail(_TRAILER)
        told = int.from_bytes(
            trailer[4:], "little"
        )  # several members, or bytes behind them, say less
        if self._all_gzip and told == self.position % (1 << 32):
            return replace(identity, gzip=trailer.hex())
        return identity

    def _into(self, view: memoryview) -> int:
        """Fill as much of ``view`` as there is; in steps that stay in cache for the hash."""
        done = 0
        try:
            while done < len(view) and not self._ended:
                got = self._bytes.readinto(view[done : done + STEP])  # type: ignore[attr-defined]
                if not got:
                    break
                done += got
                self.position += got
        except EOFError as error:
            text = f"the compressed stream has no end in all {self.size:,} bytes of the file"
            raise self._damaged("E_TRUNCATED", text) from error
        except (igzip.BadGzipFile, isal_zlib.error) as error:  # type: ignore[misc]
            text = f"the compressed stream is damaged: {error}"
            raise self._damaged("E_UNREADABLE", text) from error
        return done

    def _damaged(self, code: str, text: str) -> InputError:
        return InputError(
            code, text, path=str(self.path), advice="Copy or download the file again."
        )
