"""Headers that were read before, kept in a file: a second look at a tree opens none of its slices.

A line per folder: a checksum, the folder, and for each file of it size, times and inode with what its
header told. Such a line also per series whose volumes only whole headers tell apart, with every frame of
each file. A line that is torn, or a file that is another one by any of these numbers, is read anew. Lines
are added while a tree is read, so that what breaks off goes on where it was; the last one of a folder counts.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import replaced
from gpuprep.io.dicom.many import read_headers
from gpuprep.io.dicom.membership import Header, NoImage, from_row, to_row
from gpuprep.io.dicom.volumes import Seen
from gpuprep.values.version import __version__

_FORM = f"gpuprep headers 4 {__version__}".encode()
_AT_ONCE = 4096  # files whose headers are read before what they tell is kept
# A file that changed as lately may change again without its times telling.
_SETTLED_NS = 2_000_000_000
_UNSEEN_BYTES = 64 << 20  # of folders that nobody asked for this time
_WASTE_BYTES = 1 << 20  # of lines that later ones replace, at least

Stamp = tuple[int, int, int, int]
_Rows = dict[str, list[Any]]


class KnownHeaders:
    """What headers tell, from a file where it is known; without a file they are all read.

    With ``keep`` false the file is only read, never written or made.

    Use it as a context manager, which tidies the file up at the end. A disk that refuses costs the file,
    never the reading.
    """

    def __init__(self, file: Path | None = None, *, keep: bool = True) -> None:
        self._file = file
        self._keeps = keep and file is not None
        self._places: dict[str, tuple[int, int]] = {}
        """Of each folder where its line begins, and its length."""
        self._seen: set[str] = set()
        self._size = 0
        self._load()

    def __enter__(self) -> KnownHeaders:
        return self

    def __exit__(self, *error: object) -> None:
        if self._keeps:
            with suppress(OSError):
                self._tidy_up()

    def read(self, paths: Iterable[str]) -> Iterator[tuple[str, Header]]:
        """Each path, in order, with what its header tells."""
        folders: dict[str, list[str]] = {}
        wanted = list(paths)
        for path in wanted:
            folders.setdefault(os.path.dirname(path), []).append(path)  # noqa: PTH120  of millions
        found: dict[str, Header] = {}
        block: dict[str, _Folder] = {}
        for name, files in folders.items():
            block[name] = _Folder(files, self._known(name), keeps=self._keeps)
            if sum(len(folder.unknown) for folder in block.values()) >= _AT_ONCE:
                self._finish(block, found)
                block = {}
        self._finish(block, found)
        return ((path, found.pop(path)) for path in wanted)

    def frames(
        self, series: str, paths: Sequence[str], look: Callable[[Path], list[Seen]]
    ) -> list[list[Seen]]:
        """What every frame of each file of a series tells; ``look`` finds in whole headers what is not known.

        Nothing is kept of a file that tells nothing.
        """
        if self._file is None or not paths:
            return [look(Path(path)) for path in paths]
        name = f"{os.path.dirname(paths[0])}\0{series}"  # noqa: PTH120  no folder is called so
        known, rows, found = self._known(name), {}, []
        for path in paths:
            stamp, row = stamp_of(path), known.get(path)
            frames: list[Seen] = []
            if row is not None and stamp is not None and row[:4] == list(stamp):
                with suppress(ValueError, TypeError):
                    frames = [_seen(each) for each in row[4]]
                    rows[path] = row
            if not frames and (frames := look(Path(path))) and _is_settled(path, stamp):
                rows[path] = [*(stamp or ()), [_seen_row(each) for each in frames]]
            found.append(frames)
        self._seen.add(name)
        if self._keeps and rows != known:
            with suppress(OSError):
                self._keep(name, rows)
        return found

    def _finish(self, block: Mapping[str, _Folder], found: dict[str, Header]) -> None:
        """Read what is not known of some folders, and keep it."""
        unknown = [path for folder in block.values() for path in folder.unknown]
        told = dict(zip(unknown, read_headers(unknown), strict=True))
        for name, folder in block.items():
            folder.take_in(told)
            found.update(folder.headers)
            self._seen.add(name)
            if self._keeps and folder.rows != folder.known:
                with suppress(OSError):
                    self._keep(name, folder.rows)

    def _known(self, folder: str) -> _Rows:
        if self._file is None or folder not in self._places:
            return {}
        start, length = self._places[folder]
        with suppress(OSError, ValueError), self._file.open("rb") as stream:
            stream.seek(start)
            name, rows = _parse(stream.read(length))
            if name == folder:
                return rows
        return {}

    def _load(self) -> None:
        """Note where the line of each folder lies; a file of another form is not touched before it is due."""
        if self._file is None:
            return
        with suppress(OSError), self._file.open("rb") as stream:
            if stream.readline(len(_FORM) + 1) != _FORM + b"\n":
                return
            self._size = len(_FORM) + 1
            for line in stream:
                with suppress(ValueError):
                    self._places[_folder(line)] = self._size, len(line)
                self._size += len(line)

    def _keep(self, folder: str, rows: _Rows) -> None:
        assert self._file is not None
        if not self._size:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with replaced(self._file, partial=self._partial) as partial:
                partial.write_bytes(_FORM + b"\n")
        line = _line(folder, rows)
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            start = os.fstat(descriptor).st_size
            os.write(descriptor, b"\n" + line)  # what was torn before it ends here
        finally:
            os.close(descriptor)
        self._places[folder] = start + 1, len(line)
        self._size = start + 1 + len(line)

    def _tidy_up(self) -> None:
        """Write the file anew where much of it is of no use: replaced lines, and folders nobody asked for."""
        live = sum(length for _, length in self._places.values())
        unseen = sum(n for name, (_, n) in self._places.items() if name not in self._seen)
        wasteful = self._size - live > max(live, _WASTE_BYTES)
        if self._file is None or not (wasteful or unseen > _UNSEEN_BYTES):
            return
        room = _UNSEEN_BYTES
        with (
            self._file.open("rb") as old,
            replaced(self._file, partial=self._partial) as partial,
            partial.open("wb") as new,
        ):
            new.write(_FORM + b"\n")
            for folder, (start, length) in reversed(self._places.items()):  # the latest first
                if folder not in self._seen and (room := room - length) < 0:
                    continue
                old.seek(start)
                new.write(old.read(length))

    @property
    def _partial(self) -> str:
        return f".{os.getpid()}-headers"


class _Folder:
    """The files of one folder: which are known, and what the others tell once they are read."""

    def __init__(self, files: list[str], known: _Rows, *, keeps: bool) -> None:
        self.known = known
        self.rows: _Rows = {}
        self.headers: dict[str, Header] = {}
        self.unknown: dict[str, Stamp | None] = {}
        for path in files:
            name = os.path.basename(path)  # noqa: PTH119
            stamp = stamp_of(path) if keeps or known else None
            row = known.get(name)
            if row is not None and stamp is not None and row[:4] == list(stamp):
                with suppress(ValueError, TypeError):
                    self.headers[path] = from_row(row[4:])
                    self.rows[name] = row
                    continue
            self.unknown[path] = stamp

    def take_in(self, told: Mapping[str, Header]) -> None:
        """Note what headers told; what may change unseen is not kept."""
        for path, stamp in self.unknown.items():
            header = self.headers[path] = told[path]
            lasting = header.lasting if isinstance(header, NoImage) else True
            if isinstance(header, OSError) or not lasting or stamp is None:
                continue
            if _is_settled(path, stamp):
                self.rows[os.path.basename(path)] = [*stamp, *to_row(header)]  # noqa: PTH119


def _is_settled(path: str, stamp: Stamp | None) -> bool:
    """Whether a file is as it was when it was looked at, and was not changed just now."""
    if stamp is None or stamp_of(path) != stamp:
        return False
    return time.time_ns() - max(stamp[1], stamp[2]) > _SETTLED_NS


def stamp_of(path: str) -> Stamp | None:
    """Size, times of bytes and of entry, and inode of a file; None where it is not to be had."""
    try:
        told = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    return told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino


def _line(folder: str, rows: _Rows) -> bytes:
    text = json.dumps(rows, separators=(",", ":")).encode()
    body = json.dumps(folder).encode() + b"\t" + base64.b64encode(zlib.compress(text, 1))
    return b"%08x\t%b\n" % (zlib.crc32(body), body)


def _folder(line: bytes) -> str:
    """The folder of a line; raises ValueError where it is torn."""
    return _split(line)[0]


def _parse(line: bytes) -> tuple[str, _Rows]:
    """The folder of a line and its rows; raises ValueError where it is torn."""
    folder, rows = _split(line)
    return folder, json.loads(zlib.decompress(base64.b64decode(rows)))


def _split(line: bytes) -> tuple[str, bytes]:
    checksum, folder, rows = line.removesuffix(b"\n").split(b"\t")
    if checksum != b"%08x" % zlib.crc32(folder + b"\t" + rows):
        raise ValueError("torn")
    return str(json.loads(folder)), rows


def _seen_row(one: Seen) -> list[Any]:
    """What one frame tells, as JSON."""
    told = [list(setting) for setting in one.settings]
    placed = list(one.position), list(one.orientation)
    return [told, *placed, list(one.dimensions), one.number, one.frame, one.whole]


def _seen(row: list[Any]) -> Seen:
    """The inverse of ``_seen_row``; raises ValueError or TypeError for anything else."""
    settings, position, orientation, dimensions, *rest = row
    told = tuple((str(keyword), str(text)) for keyword, text in settings)
    placed = tuple(map(float, position)), tuple(map(float, orientation))
    number, frame, whole = rest
    return Seen(told, *placed, number, frame, whole, tuple(map(int, dimensions)))
