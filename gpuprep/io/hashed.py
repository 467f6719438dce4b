"""A file of which every byte that is read is hashed, and the one way to open a file."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.placeholders import LARGEST_POINTER, pointer, unfetched_link
from gpuprep.io.scan import FileIdentity
from gpuprep.values.errors import InputError

STEP = 1 << 20


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
        step = memoryview(bytearray(STEP))
        while self.readinto(step):
            pass
        status = os.fstat(self._file.fileno())
        return FileIdentity(
            str(self._path), status.st_size, status.st_mtime_ns, self._digest.hexdigest()
        )

    def whole(self) -> tuple[NDArray[np.uint8], Any] | None:
        """All bytes of the file, from the first on, and their hash; None if it changes its length.

        What is read next stays as it is, unless ``was_read`` tells that this was all.
        """
        here, digest = self._file.tell(), hashlib.sha256()
        contents = np.empty(self.size + 1, np.uint8)
        done = 0
        self._file.seek(0)
        while got := self._file.readinto(contents.data[done : done + STEP]):
            digest.update(contents.data[done : done + got])
            done += got
        self._file.seek(here)
        return (contents[: self.size], digest) if done == self.size else None

    def was_read(self, digest: Any) -> None:
        """Nothing is left to read, as all bytes came from ``whole``."""
        self._digest = digest
        self._file.seek(self.size)

    def tail(self, count: int) -> bytes:
        """The last bytes of the file, which are not hashed again; nothing is to be read after."""
        self._file.seek(max(0, self.size - count))
        return self._file.take(count)


def file_identity(path: Path) -> FileIdentity:
    """The identity of a file that another library reads."""
    with HashedFile(path) as file:
        return file.identity()
