"""How bytes reach the disk and come back: whole files with a seal, JSON lines, and what disks refuse."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from gpuprep.host.atomic import replaced
from gpuprep.host.failpoints import failpoint
from gpuprep.values.errors import TRANSIENT, CorruptStoreError, RunStopped, StoreError, StoreFault

_WRITE_BUFFER = 1 << 20
DOCUMENT_LIMIT = 64 << 20  # bytes; no JSON document of a case comes near
CHECK_DISK = "check the disk and the way to it, then run the same command again"


@dataclass(frozen=True, slots=True)
class FileSeal:
    """Size in bytes and CRC32C of a whole file: what ``verify`` compares."""

    size: int
    crc32c: int


@contextmanager
def storage_faults(path: object, *, what: str = "written") -> Iterator[None]:
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
    """Write a whole file, or none, making its folder where absent; returns its seal.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    size, crc = 0, 0
    with storage_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replaced(path, fsync=fsync) as partial,
            partial.open("wb", buffering=_WRITE_BUFFER) as stream,
        ):
            for piece in pieces:
                stream.write(piece)
                size += len(piece)
                crc = google_crc32c.extend(crc, piece)
                failpoint("mid_shard", str(path))
    return FileSeal(size, crc)


CaseVersion = tuple[int | str, ...]
"""Tells a case from one that is put in its place: device, inode, size and time of its record, or its etag."""


def replaced_meanwhile(folder: object) -> StoreError:
    """The error of a case that gave way to another one while it was open."""
    return StoreError(
        f"{folder}: the case was replaced or removed while it was open",
        advice="open the cohort again to read the case that is there now",
    )


def bounded(text: bytes, path: object) -> bytes:
    """The bytes of a document; raises CorruptStoreError for more than any document of ours has."""
    if len(text) > DOCUMENT_LIMIT:
        raise CorruptStoreError(f"{path}: larger than {DOCUMENT_LIMIT:,} bytes")
    return text


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row of a JSON-lines file; what is no UTF-8 (in a name of a file) comes out of it as it went in."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def append_line(path: str | Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line to a file; ``append_bytes`` says how.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    append_bytes(path, json_line(row))


def append_bytes(path: str | Path, line: bytes) -> None:
    """Add a line to a file, in a single write where the disk takes it whole.

    A torn line before it is closed first.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
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
