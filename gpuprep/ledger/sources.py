"""Whether the source files of a stored case are as they were: by path, size and time, or by their sums."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.values.case import Case

Row = Mapping[str, Any]
"""One source file as a record has it: role, path, size, mtime_ns, sha256."""

_TRAILER = 8  # bytes at the end of a gzip file: CRC-32 and length of what it holds


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the source files of a stored case."""

    change: str = ""
    """How they differ from those of the record; empty where they do not."""
    stamp: str = ""
    """Where they are the same by their sums alone: names paths, sizes and times under which they were."""


class _Changed(Exception):
    """Files differ; says how."""


def compare(sources: Sequence[Row], case: Case, seen: str = "") -> Comparison:
    """Compare the files of a record with those a case has now. Only files at a new place or of a new time
    are read, and only if all sizes are the same.

    Args:
        sources: The rows of the record.
        case: The case as the input has it now.
        seen: The stamp of an earlier comparison; files that still bear it are not read again.
    """
    try:
        groups = list(_groups(sources, case))
        now = {path: _stat(path) for group in groups for path in group.paths}
        other = [group for group in groups if not group.is_untouched(now)]
        if not other:
            return Comparison()
        for group in other:
            group.check_sizes(now)
        stamp = _stamp(now)
        for group in other if stamp != seen else ():
            group.check_sums(now)
    except _Changed as change:
        return Comparison(str(change))
    return Comparison(stamp=stamp)


_Stats = Mapping[str, os.stat_result]


@dataclass(frozen=True, slots=True)
class _Group:
    """The rows of one source, and where its files are now: row by row, or in any order for a moved series."""

    role: str
    rows: Sequence[Row]
    paths: Sequence[str]
    ordered: bool = True

    @property
    def pairs(self) -> Iterator[tuple[Row, str]]:
        return zip(self.rows, self.paths, strict=True)

    def is_untouched(self, now: _Stats) -> bool:
        return self.ordered and all(_is_untouched(row, path, now) for row, path in self.pairs)

    def check_sizes(self, now: _Stats) -> None:
        if not self.ordered:
            if Counter(row["size"] for row in self.rows) != Counter(
                now[path].st_size for path in self.paths
            ):
                raise _Changed(f"files of the {self.role} changed: they have other sizes")
            return
        for row, path in self.pairs:
            if row["size"] != now[path].st_size:
                sizes = f"{row['size']:,} → {now[path].st_size:,} bytes"
                raise _Changed(f"{_renamed(row, path)} changed ({sizes})")

    def check_sums(self, now: _Stats) -> None:
        if not self.ordered:
            if Counter(row["sha256"] for row in self.rows) != Counter(map(_sum, self.paths)):
                raise _Changed(f"files of the {self.role} changed: they have other contents")
            return
        for row, path in self.pairs:
            if not _is_untouched(row, path, now) and not _is_same(row, path):
                raise _Changed(
                    f"{_renamed(row, path)} changed (other contents in as many bytes, {row['size']:,})"
                )


def _groups(sources: Sequence[Row], case: Case) -> Iterator[_Group]:
    """The rows of the record role by role, never by name alone, each with its present path."""
    roles = {role: files for files, role in case.roles.items()}
    if not all(row.get("role") for row in sources):  # an older version wrote the record
        paths = [row["path"] for row in sources]
        if not set(paths) >= set(case.files):
            raise _Changed("its files are others, and an older version stored it")
        yield _Group("case", sources, paths)
        return
    known: defaultdict[str, list[Row]] = defaultdict(list)
    for row in sources:
        known[row["role"]].append(row)
    for role in sorted(known.keys() - roles.keys()):
        raise _Changed(f"its {role} was taken away ({Path(known[role][0]['path']).name})")
    for role in sorted(roles.keys() - known.keys()):
        raise _Changed(f"its {role} was added ({Path(roles[role][0]).name})")
    for role, files in roles.items():
        yield _meet(role, known[role], files)


def _meet(role: str, rows: Sequence[Row], files: Sequence[str]) -> _Group:
    """One source. A series has many files; a single file may have others beside it, as voxels."""
    paths = [row["path"] for row in rows]
    if len(files) > 1 and len(files) != len(rows):
        more = len(files) - len(rows)
        what = "added" if more > 0 else "taken away"
        raise _Changed(f"the {role} has {len(files)} files, {abs(more)} {what}")
    if set(paths) >= set(files):
        return _Group(role, rows, paths)
    if len(files) > 1:
        return _Group(role, rows, files, ordered=False)
    (file,) = files
    if len(rows) == 1:
        return _Group(role, rows, files)
    base = next((path for path in paths if Path(path).suffix == Path(file).suffix), paths[0])
    old, new = Path(base).parent, Path(file).parent
    moved = [os.path.normpath(new / os.path.relpath(path, old)) for path in paths]
    moved[paths.index(base)] = file
    return _Group(role, rows, moved)


def _is_untouched(row: Row, path: str, now: _Stats) -> bool:
    found = now[path]
    same = found.st_size == row["size"] and found.st_mtime_ns == row["mtime_ns"]
    return same and path == row["path"]


def _stamp(now: _Stats) -> str:
    lines = [f"{path}\0{found.st_size}\0{found.st_mtime_ns}" for path, found in now.items()]
    text = "\n".join(sorted(lines)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(text).hexdigest()[:32]


def _stat(path: str) -> os.stat_result:
    try:
        return Path(path).stat()
    except OSError as error:
        raise _Changed(f"{Path(path).name} is not to be had any more ({error.strerror})") from None


def _sum(path: str) -> str:
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _Changed(f"{Path(path).name} cannot be read ({error.strerror})") from None


def _is_same(row: Row, path: str) -> bool:
    """Whether a file of the right size holds what it held; the end of a gzip file says so by itself."""
    if told := row.get("gzip"):
        return bool(told == _tail(path).hex())
    return bool(row["sha256"] == _sum(path))


def _tail(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            stream.seek(-_TRAILER, os.SEEK_END)
            return stream.read(_TRAILER)
    except OSError as error:
        raise _Changed(f"{Path(path).name} cannot be read ({error.strerror})") from None


def _renamed(row: Row, path: str) -> str:
    """The name of a file, and the one it had."""
    new, old = Path(path).name, Path(row["path"]).name
    return new if new == old else f"{new} (before: {old})"
