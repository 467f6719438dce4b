"""Files that exist whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuprep.values.errors import UsageError

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EROFS, errno.ENOTSUP)


@contextmanager
def replaced(path: Path, *, partial: str = "", fsync: bool = False) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place in one step at the end of the block.

    Where the block or the system fails, ``path`` stays as it was and the other file goes.

    Args:
        path: The file to replace; it need not exist.
        partial: The name of the file to write; a hidden one by default.
        fsync: Wait until its bytes are on the disk before it takes the place.
    """
    written = path.with_name(partial or f".{path.name}.partial")
    try:
        yield written
        if fsync:
            fsync_path(written)
        written.replace(path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            written.unlink(missing_ok=True)
        raise


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """``replaced`` for a file that the user asked for; its suffix stays, and processes do not meet.

    >>> with whole_file(Path("note.txt")) as partial:
    ...     _ = partial.write_text("all of it")
    >>> Path("note.txt").read_text()
    'all of it'

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        with replaced(file, partial=f".{os.getpid()}-{file.name}") as partial:
            yield partial
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot write {file}: {reason}") from error


def make_folder(path: Path) -> None:
    """Make a folder with those above it, each of which survives a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(missing):
        fsync_above(folder)


def fsync_above(path: Path) -> None:
    """Make the entry of ``path`` survive a power cut, as far as its folder lets us: it may be anybody's."""
    try:
        fsync_path(path.parent)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def fsync_path(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
