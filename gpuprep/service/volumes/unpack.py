"""A zip of DICOM files from a stranger, unpacked within limits."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from gpuprep.values.errors import InputError
from gpuprep.values.units import human_bytes

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x07"
_END_BYTES, _COMMENT_BYTES = 22, 0xFFFF
_DIRECTORY_BYTES = 16 << 20  # the list of a zip's files is read into memory
_DEEPEST = 16
_BLOCK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def unpack(archive: Path, target: Path, *, most_bytes: int, most_files: int) -> int:
    """Unpack a zip into a new folder; returns how many files it held.

    What counts is what comes out, not what the zip says of itself. Every file lies below the folder.

    Raises:
        InputError: E_UNREADABLE for what is no plain zip, E_UNSAFE_PATH for a name that leads elsewhere,
            E_LIMIT for more bytes or files.
    """
    target.mkdir(mode=0o700)
    _check_directory(archive, most_files)
    left = most_bytes
    try:
        with zipfile.ZipFile(archive) as opened:
            listed = opened.infolist()  # whatever number the end record told
            if len(listed) > most_files:
                raise _too_many(archive, len(listed), most_files)
            entries = [entry for entry in listed if not entry.is_dir()]
            for entry in entries:
                path = target / _safe(entry, archive)
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                with opened.open(entry) as stream:
                    left -= _copy(stream, path, left, archive, most_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _unreadable(archive, f"the zip is damaged: {error}") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _unreadable(archive, f"the zip holds two files named {_name_of(error)}") from None
    return len(entries)


def _check_directory(archive: Path, most_files: int) -> None:
    """Refuse a list of files that is long or elsewhere, before it is read into memory."""
    with archive.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        start = max(0, size - _END_BYTES - _COMMENT_BYTES - 20)
        stream.seek(start)
        tail = stream.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        raise _unreadable(archive, "it is no zip: it has no end record")
    count, directory = struct.unpack_from("<HI", tail, end + 10)
    if tail[max(0, end - 20) :].startswith(_END_64):
        raise _unreadable(archive, "it is a zip of the 64-bit kind, which is not taken")
    if count > most_files or directory > _DIRECTORY_BYTES:
        raise _too_many(archive, count, most_files)


def _too_many(archive: Path, count: int, most_files: int) -> InputError:
    most = f"{most_files:,} files in a list of {human_bytes(_DIRECTORY_BYTES)} are the most"
    message = f"the zip lists {count:,} files, and {most}"
    return InputError("E_LIMIT", message, path=archive.name, advice="send one series")


def _safe(entry: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """The path of an entry below the folder."""
    name = entry.orig_filename
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    plain = all(part not in ("", ".", "..") and len(part.encode()) < 256 for part in parts)
    if not plain or len(parts) > _DEEPEST or "\\" in name or "\0" in name or ":" in parts[0]:
        raise InputError(
            "E_UNSAFE_PATH",
            f"the zip holds a file named {name[:200]!r}, which leads out of its folder",
            path=archive.name,
            advice="zip the folder of the series itself",
        )
    if kind not in (0, stat.S_IFREG) or entry.flag_bits & 1 or entry.compress_type not in _METHODS:
        raise _unreadable(
            archive, f"{name[:200]!r} in it is a link, encrypted, or packed unusually"
        )
    return PurePosixPath(name)


def _copy(stream: IO[bytes], path: Path, left: int, archive: Path, most: int) -> int:
    written = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        while block := stream.read(min(_BLOCK, left - written + 1)):
            written += len(block)
            if written > left:
                raise InputError(
                    "E_LIMIT",
                    f"the files in the zip have more than {human_bytes(most)}",
                    path=archive.name,
                    advice="send one series",
                )
            file.write(block)
    return written


def _unreadable(archive: Path, message: str) -> InputError:
    advice = "send the DICOM files of one series, stored or deflated, in a plain zip"
    return InputError("E_UNREADABLE", message, path=archive.name, advice=advice)


def _name_of(error: OSError) -> str:
    return repr(Path(str(error.filename)).name)
