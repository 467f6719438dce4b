"""Trust in bytes: read once from front to back, decompressed, counted and hashed on the way.

Nothing here knows a format. Readers state how many bytes they need; a file that has fewer, or whose gzip
checksum does not hold, is refused before its voxels go anywhere, and no buffer is made for voxels that
the file cannot possibly hold.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from isal import igzip, isal_zlib

from gpuprep.io.placeholders import LARGEST_POINTER, pointer, unfetched_link
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import FileIdentity, Voxels
from gpuprep.values.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
_STEP = 1 << 20
_TRAILER = 8  # bytes: CRC-32 and length modulo 2³² of what a gzip member holds


class _RawFile(io.FileIO):
    """A raw file whose errors name it."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            return super().readinto(buffer) or 0
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.name)) from error

    def take(self, count: int) -> bytes:
        """As many bytes from here on, or fewer at the end; a disk may give less than it is asked for."""
        taken = bytearray(count)
        done = 0
        while done < count and (got := self.readinto(memoryview(taken)[done:])):
            done += got
        return bytes(taken[:done])


def open_regular(path: Path) -> io.BufferedReader:
    """An open file; pipes, devices and folders are refused, as opening them can hang."""
    return io.BufferedReader(_open_raw(path))


def _open_raw(path: Path) -> _RawFile:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("E_UNREADABLE", "this is not a regular file", path=str(path))
        file = _RawFile(path)
        if status.st_size <= LARGEST_POINTER:
            _refuse_pointer(file, path)
        return file
    except (FileNotFoundError, NotADirectoryError) as error:
        raise unfetched_link(path) or InputError(
            "E_MISSING",
            "the input names this file, but there is none",
            path=str(path),
            advice="Bring it back, or take its case out of the input.",
        ) from error
    except (PermissionError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            "E_UNREADABLE",
            f"the file cannot be opened: {reason}",
            path=str(path),
            advice="Check that the path exists and that this account may read it.",
        ) from error


def _refuse_pointer(file: _RawFile, path: Path) -> None:
    """Raise if the file only names another one, else leave it at its beginning."""
    if error := pointer(path, file.take(LARGEST_POINTER)):
        file.close()
        raise error
    file.seek(0)


class HashedFile(io.RawIOBase):
    """A raw file that takes the SHA-256 of every byte it hands out."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = _open_raw(path)
        self._digest = hashlib.sha256()
        self.size = os.fstat(self._file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._file.readinto(buffer)
        self._digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        if hasattr(self, "_file"):  # the finalizer closes what could not be opened, too
            self._file.close()
        super().close()

    def identity(self) -> FileIdentity:
        """What the file is; reads what was not read yet, so that the hash covers every byte."""
        step = memoryview(bytearray(_STEP))
        while self.readinto(step):
            pass
        status = os.fstat(self._file.fileno())
        return FileIdentity(
            str(self._path), status.st_size, status.st_mtime_ns, self._digest.hexdigest()
        )

    def tail(self, count: int) -> bytes:
        """The last bytes of the file, which are not hashed again; nothing is to be read after."""
        self._file.seek(max(0, self.size - count))
        return self._file.take(count)


def file_identity(path: Path) -> FileIdentity:
    """The identity of a file that another library reads."""
    with HashedFile(path) as file:
        return file.identity()


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
        piece = b""
        while not piece and not self._stream.eof:
            if not self._tail and not (read := self._file.read1(_STEP // 8)):
                raise EOFError
            piece = self._stream.decompress(self._tail or read, len(buffer))
            self._tail = self._stream.unconsumed_tail
        buffer[: len(piece)] = piece
        return len(piece)


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
        buffered = io.BufferedReader(self._file, _STEP // 8)
        whole = start == 0
        while start > 0 and (passed := buffered.read(min(start, _STEP))):
            start -= len(passed)
        gzipped = encoding != "raw" and buffered.peek(2)[:2] == GZIP_MAGIC
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
        step = memoryview(bytearray(min(count, _STEP)))
        left = count
        while left > 0 and (got := self._into(step[: min(left, _STEP)])):
            left -= got

    def fill(self, voxels: Voxels) -> None:
        """Read straight into a C-contiguous array; nothing is copied.

        Raises:
            InputError: E_TRUNCATED if the file ends early, E_UNREADABLE if its compression is damaged.
        """
        view = memoryview(voxels.reshape(-1).view(np.uint8).data)
        start = self.position
        if (got := self._into(view)) < len(view):
            text = f"the contents end after {start + got:,} bytes"
            raise self._damaged(
                "E_TRUNCATED", f"{text}, but the header declares {start + len(view):,}"
            )

    def finish(self, rules: ReadRules) -> FileIdentity:
        """Read to the end, so that every checksum inside the file was compared.

        Raises:
            InputError: E_UNREADABLE for damaged compression, E_LIMIT for endless trailing bytes.
        """
        step = memoryview(bytearray(_STEP))
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
            while done < len(view):
                got = self._bytes.readinto(view[done : done + _STEP])  # type: ignore[attr-defined]
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
