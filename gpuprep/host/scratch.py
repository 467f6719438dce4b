"""Memory for the arrays of one case: ordinary while it lasts, a file without a name beyond that.

Volumes larger than memory are worked on slab by slab, so only what is touched at a time needs to be in
memory; the system writes the rest to disk. The files are gone with the arrays, even after a crash.
"""

from __future__ import annotations

import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.host.owners import is_abandoned, mark, owner_in
from gpuprep.values.errors import UsageError


class Scratch:
    """Gives arrays; those beyond ``memory`` bytes in all (None: no limit) lie in files in ``folder``."""

    def __init__(self, folder: Path | str = "", memory: int | None = None) -> None:
        self._folder = folder
        self._left = memory

    def fits(self, size: int) -> bool:
        """Whether so many bytes more would be ordinary memory."""
        return self._left is None or size <= self._left

    def take(self, size: int) -> bool:
        """Count so many bytes as ordinary memory that is used, where they fit; whether they do."""
        if not self.fits(size):
            return False
        if self._left is not None:
            self._left -= size
        return True

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A block at whose end nobody has the arrays any more that it gave: their memory is free again."""
        left = self._left
        try:
            yield
        finally:
            self._left = left

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A C-contiguous array with any content; OSError where the disk has no room for it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.take(size):
            return np.empty(shape, dtype)
        return np.frombuffer(map_file(self._folder, size), dtype).reshape(shape)


def map_file(folder: Path | str, size: int) -> mmap.mmap:
    """A mapped file without a name; the disk's room is taken at once, so that no write fails later."""
    descriptor = open_file(folder, size)
    try:
        return mmap.mmap(descriptor, size)
    finally:
        os.close(descriptor)


def open_file(folder: Path | str, size: int) -> int:
    """The descriptor of a file without a name, of ``size`` bytes that the disk holds ready.

    Raises:
        OSError: the disk has no room for it, or fails; it names the folder.
    """
    try:
        with tempfile.TemporaryFile(prefix="gpuprep-", dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)
            return os.dup(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error


def temporary_root() -> Path:
    """The folder for temporary files: ``TMPDIR``, or one that the system has.

    Raises:
        UsageError: none of them can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise UsageError(
            f"no folder takes temporary files ({error.strerror})",
            advice="set TMPDIR to a folder that can be written",
        ) from None


@contextmanager
def temporary_files(instead: Path) -> Iterator[None]:
    """A block with a folder for temporary files; where the system has none, it is made inside ``instead``.

    A container may have nothing to write to but an output. Processes started in the block use it, too.
    """
    try:
        temporary_root()
    except UsageError:
        folder = instead / f"temporary.{mark()}"
    else:
        yield
        return
    folder.mkdir(parents=True, mode=0o700)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


def nameless_file(prefix: str) -> IO[bytes]:
    """A temporary file without a name; in memory where no folder takes one."""
    try:
        return tempfile.TemporaryFile(prefix=prefix)
    except OSError:
        return os.fdopen(os.memfd_create(prefix, os.MFD_CLOEXEC), "w+b")


def make_scratch(prefix: str) -> str:
    """A new temporary folder; those that killed processes of this user left behind go first.

    Raises:
        UsageError: no folder takes temporary files.
    """
    root = temporary_root()
    for folder in root.glob(f"{prefix}*-*-*-*"):
        try:
            owner = owner_in(folder.name.removeprefix(prefix))
            left = folder.stat(follow_symlinks=False).st_uid == os.getuid()
            left = left and is_abandoned(folder, owner)
        except (OSError, ValueError):
            continue
        if left:
            shutil.rmtree(folder, ignore_errors=True)
    folder = root / f"{prefix}{mark()}"
    folder.mkdir(mode=0o700)
    return str(folder)


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """``make_scratch`` for a block, which takes the folder away at its end."""
    folder = make_scratch(prefix)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
