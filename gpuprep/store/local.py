"""A file or folder of this machine, as a place where a cohort or a case lies."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PosixPath

from gpuprep.store.files import (
    DOCUMENT_LIMIT,
    CaseVersion,
    bounded,
    replaced_meanwhile,
    storage_faults,
)
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, RECORD_FILE
from gpuprep.values.errors import CorruptStoreError

_READ_BLOCK = 4 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)


class LocalPath(PosixPath):
    """A path that can do what ``ObjectPath`` can, so that nobody asks which of them a place is."""

    __slots__ = ()

    def is_cohort(self) -> bool:
        """Whether this is the output of a run."""
        return (self / CASES_FOLDER).is_dir()

    def stamp(self) -> tuple[int, int] | None:
        """Bytes of this file, and the time of its last change (ns); None where it is absent."""
        try:
            seen = os.stat(self)  # noqa: PTH116
        except OSError:
            return None
        return seen.st_size, seen.st_mtime_ns

    def version(self, *, descriptor: int | None = None) -> CaseVersion | None:
        """Which case this folder holds; None where it has no record.

        Args:
            descriptor: The folder if it is open, whatever its path may name by now.
        """
        record = f"{self}/{RECORD_FILE}" if descriptor is None else RECORD_FILE
        try:
            found = os.stat(record, dir_fd=descriptor, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _version(found)

    def versions(self) -> dict[str, CaseVersion]:
        """Which record each case in this folder has, by id; those without a record are left out.

        A call of the system per case, and little beside it: there may be a million.
        """
        return dict(self.each_version())

    def each_version(self) -> Iterator[tuple[str, CaseVersion]]:
        """The same, case by case as they are found."""
        descriptor = os.open(self, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208
                if name[0] == "." or not name.endswith(CASE_SUFFIX):
                    continue
                try:
                    seen = os.stat(f"{name}/{RECORD_FILE}", dir_fd=descriptor)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if stat.S_ISREG(seen.st_mode):
                    yield name[: -len(CASE_SUFFIX)], _version(seen)
        finally:
            os.close(descriptor)

    def document(self, name: str, *, version: CaseVersion | None = None) -> bytes:
        """The bytes of a JSON document of this case.

        Raises:
            CorruptStoreError: it is absent, not a plain file, or larger than any document of ours.
            StoreError: the folder holds another case than ``version``.
        """
        with os.fdopen(self.open_inside(name, version=version), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size  # as much memory as needed, not as it may need
            return bounded(stream.read(min(size, DOCUMENT_LIMIT) + 1), self / name)

    def content(self) -> bytes | None:
        """All bytes of this file, None where it is absent; StoreError where the disk does not give them."""
        with storage_faults(self, what="read"), suppress(FileNotFoundError):
            return self.read_bytes()
        return None

    def blocks(self) -> Iterator[bytes]:
        """The bytes of this file, some megabytes at a time."""
        with self.open("rb", buffering=0) as stream:
            while block := stream.read(_READ_BLOCK):
                yield block

    def lines(self) -> Iterator[bytes]:
        """The lines of this file, none where it is absent; StoreError where the disk does not give them."""
        with (
            storage_faults(self, what="read"),
            suppress(FileNotFoundError),
            self.open("rb") as stream,
        ):
            yield from stream

    def files(self) -> Iterator[tuple[str, int]]:
        """Name below this folder and size in bytes of every file; links are not followed and have size -1."""
        start, folders = len(str(self)) + 1, [str(self)]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_symlink():
                        yield entry.path[start:], -1
                    else:
                        yield entry.path[start:], entry.stat(follow_symlinks=False).st_size

    def folders(self) -> set[str]:
        """Names directly below this folder."""
        with os.scandir(self) as entries:
            return {entry.name for entry in entries}

    def sizes(self, names: Iterable[str]) -> dict[str, int]:
        """Bytes of these files; OSError for an absent one, which an object store leaves out."""
        folder = str(self)
        return {name: os.stat(f"{folder}/{name}").st_size for name in names}  # noqa: PTH116

    def open_inside(self, name: str, *, version: CaseVersion | None = None) -> int:
        """A read-only descriptor of a file, reached through no symbolic link below this folder.

        Args:
            name: A path below it.
            version: Which case the folder must hold; None for any.

        Raises:
            CorruptStoreError: the file is absent or is not a plain file of this folder.
            StoreError: the folder holds another case by now, or the system refuses to open the file
                (permission, too many open files); StoreFault where that may pass.
        """
        try:
            return self._open_below(name, version)
        except OSError as error:
            if version is not None and self.version() != version:
                raise replaced_meanwhile(self) from error
            if error.errno not in _ABSENT:
                with storage_faults(self / name, what="read"):
                    raise
            raise CorruptStoreError(
                f"{self / name}: {error.strerror}",
                advice=f"run 'gpuprep verify' on the cohort, then run the case again ({self.name})",
            ) from error

    def _open_below(self, name: str, version: CaseVersion | None) -> int:
        """Open ``name`` step by step; what is put in the folder's place meanwhile is never reached."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        if version is not None and self.version(descriptor=descriptor) != version:
            os.close(descriptor)
            raise replaced_meanwhile(self)
        *parents, last = name.split("/")
        for parent in parents:
            descriptor = _step(descriptor, parent, flags | os.O_DIRECTORY)
        descriptor = _step(descriptor, last, flags | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a plain file")
        return descriptor


def _version(record: os.stat_result) -> CaseVersion:
    return record.st_dev, record.st_ino, record.st_size, record.st_mtime_ns


def _step(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)
