"""How bytes reach the disk and come back: whole files with a seal, JSON lines, and what disks refuse."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from gpuprep.host.failpoints import failpoint
from gpuprep.store.layout import RECORD_FILE
from gpuprep.store.places import ObjectPath, Place
from gpuprep.values.errors import TRANSIENT, CorruptStoreError, RunStopped, StoreError, StoreFault

_WRITE_BUFFER = 1 << 20
_READ_BLOCK = 4 << 20
_DOCUMENT_LIMIT = 64 << 20  # bytes; no JSON document of a case comes near
CHECK_DISK = "check the disk and the way to it, then run the same command again"
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class FileSeal:
    """Size in bytes and CRC32C of a whole file: what ``verify`` compares."""

    size: int
    crc32c: int

    def to_json(self) -> dict[str, int]:
        return {"size": self.size, "crc32c": self.crc32c}


@contextmanager
def storage_faults(path: str | Place, *, what: str = "written") -> Iterator[None]:
    """Turns what the operating system says about ``path`` into the errors of gpuprep.

    Args:
        path: The file or folder, as messages name it; where one is read, the one that failed.
        what: What it cannot be, ``written`` or ``read``.

    Raises:
        RunStopped: the disk or the quota is full; the message has the free bytes.
        StoreFault: the disk or the network failed, and may work again.
        StoreError: anything else the disk refuses.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunStopped(
                f"{path}: {reason}; {_free_bytes(Path(str(path))):,} bytes are free on its disk",
                advice="free some space (or raise the quota) and run the same command again; "
                "finished cases are kept",
            ) from error
        denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        advice = "check the owner and the mode of the folder" if denied else CHECK_DISK
        kind = StoreFault if error.errno in TRANSIENT else StoreError
        code = errno.errorcode.get(error.errno or 0, "")
        failed = Path(str(error.filename))
        named = failed if what == "read" and failed.is_absolute() else path
        raise kind(f"{named}: cannot be {what}: {reason}", advice=advice, code=code) from error


def _free_bytes(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def write_file(path: Path, pieces: Iterable[bytes], *, fsync: bool) -> FileSeal:
    """Write a whole file under a ``.partial`` name, then rename it; returns its seal.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    partial = path.with_name(path.name + ".partial")
    with storage_faults(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            seal = _write_pieces(partial, pieces, fsync=fsync)
            partial.replace(path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to tell
                partial.unlink(missing_ok=True)
            raise
    return seal


def _write_pieces(path: Path, pieces: Iterable[bytes], *, fsync: bool) -> FileSeal:
    size, crc = 0, 0
    with path.open("wb", buffering=_WRITE_BUFFER) as stream:
        for piece in pieces:
            stream.write(piece)
            size += len(piece)
            crc = google_crc32c.extend(crc, piece)
            failpoint("mid_shard", str(path))
        stream.flush()
        if fsync:
            os.fsync(stream.fileno())
    return FileSeal(size, crc)


def fsync_path(path: Path) -> None:
    """Make a file's bytes, or a folder's entries, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal_file(path: Place) -> FileSeal:
    """Read a file to its end and return the seal it has now."""
    if isinstance(path, ObjectPath):
        content = path.read_bytes()
        return FileSeal(len(content), google_crc32c.value(content))
    size, crc = 0, 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_READ_BLOCK):
            size += len(block)
            crc = google_crc32c.extend(crc, block)
    return FileSeal(size, crc)


def file_sizes(folder: Place, names: Iterable[str]) -> dict[str, int]:
    """Bytes of these files of a case; those absent from a store are left out, OSError for a folder's."""
    if isinstance(folder, ObjectPath):
        found = dict(folder.walk())
        return {name: found[name] for name in names if name in found}
    return {name: (folder / name).stat().st_size for name in names}


CaseVersion = tuple[int | str, ...]
"""Tells a case from one that is put in its place: device, inode, size and time of its record, or its etag."""


def case_version(folder: Place, *, descriptor: int | None = None) -> CaseVersion | None:
    """Which case a folder holds; None where it has no record.

    Args:
        folder: The case's folder.
        descriptor: The folder if it is open, whatever its path may name by now.
    """
    if isinstance(folder, ObjectPath):
        stored = (folder / RECORD_FILE).stat()
        return None if stored is None else (stored.etag,)
    record = folder / RECORD_FILE if descriptor is None else RECORD_FILE
    try:
        found = os.stat(record, dir_fd=descriptor, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def open_inside(folder: Path, name: str, *, version: CaseVersion | None = None) -> int:
    """A read-only descriptor of ``folder/name`` that passes through no symbolic link below ``folder``.

    Args:
        folder: The case's folder.
        name: A path below it.
        version: Which case the folder must hold; None for any.

    Raises:
        CorruptStoreError: the file is absent or is not a plain file of this folder.
        StoreError: the folder holds another case by now, or the system refuses to open the file
            (permission, too many open files); StoreFault where that may pass.
    """
    try:
        return _open_below(folder, name, version)
    except OSError as error:
        if version is not None and case_version(folder) != version:
            raise replaced(folder) from error
        if error.errno not in _ABSENT:
            with storage_faults(folder / name, what="read"):
                raise
        raise CorruptStoreError(
            f"{folder / name}: {error.strerror}",
            advice=f"run 'gpuprep verify' on the cohort, then run the case again ({folder.name})",
        ) from error


def replaced(folder: Place) -> StoreError:
    """The error of a case that gave way to another one while it was open."""
    return StoreError(
        f"{folder}: the case was replaced or removed while it was open",
        advice="open the cohort again to read the case that is there now",
    )


def _open_below(folder: Path, name: str, version: CaseVersion | None) -> int:
    """Open ``name`` step by step; what is put in the folder's place meanwhile is never reached."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    if version is not None and case_version(folder, descriptor=descriptor) != version:
        os.close(descriptor)
        raise replaced(folder)
    *parents, last = name.split("/")
    for parent in parents:
        descriptor = _step(descriptor, parent, flags | os.O_DIRECTORY)
    descriptor = _step(descriptor, last, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file")
    return descriptor


def _step(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)


def read_document(folder: Place, name: str, *, version: CaseVersion | None = None) -> bytes:
    """The bytes of a JSON document of a case.

    Raises:
        CorruptStoreError: it is absent, not a plain file, or larger than any document of ours.
        StoreError: the folder holds another case than ``version``.
    """
    if isinstance(folder, ObjectPath):
        text = bytes((folder / name).read((0, _DOCUMENT_LIMIT + 1))[0])
        if version is not None and case_version(folder) != version:
            raise replaced(folder)
    else:
        with os.fdopen(open_inside(folder, name, version=version), "rb") as stream:
            text = stream.read(_DOCUMENT_LIMIT + 1)
    if len(text) > _DOCUMENT_LIMIT:
        raise CorruptStoreError(f"{folder / name}: larger than {_DOCUMENT_LIMIT:,} bytes")
    return text


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row of a JSON-lines file; what is no UTF-8 (in a name of a file) comes out of it as it went in."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def append_line(path: str | Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line to a file, in a single write where the disk takes it whole.

    A torn line before it is closed first.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    line = json_line(row)
    with storage_faults(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            while line := line[os.write(descriptor, line) :]:  # a full disk says so the next time
                pass
        finally:
            os.close(descriptor)


def read_lines(path: str | Place) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file; lines torn by a crash are passed over, an absent file is empty.

    Raises:
        StoreError: the disk or the store does not give the file.
    """
    if isinstance(path, ObjectPath):
        yield from parse_lines(path.read_bytes().splitlines() if path.is_file() else ())
        return
    with (
        storage_faults(path, what="read"),
        suppress(FileNotFoundError),
        Path(path).open("rb") as stream,
    ):
        yield from parse_lines(stream)


def parse_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines, without those that are none."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
