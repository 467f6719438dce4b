"""The statistics of each case, kept line by line beside those of their cohort.

So whatever changes costs itself only: the cohort's statistics are the sum of the lines whose files are as
they were. A line is sealed; one that is torn or damaged counts as none. The file is a cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from gpuprep.ops.mergeable import Mergeable, mergeable_from_json
from gpuprep.store.files import append_bytes, json_line, storage_faults, write_file
from gpuprep.store.layout import STATISTICS_FILE
from gpuprep.values.case import Case

MOST_BYTES = 8 << 20  # of a line
LARGE_BYTES = 64 << 10  # of a line; longer ones, as of fractions, are kept …
ROOM_BYTES = 2 << 30  # … while the file has no more than that
_SEAL = b',"crc32c":'
_FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError)
_SPARE = 1000  # outdated lines that are not worth writing the file anew


@dataclass(frozen=True, slots=True)
class CaseStatistics:
    """The histogram of every channel of a case, and what they were taken from."""

    case_id: str
    made: str
    """Names config and channels: what decides the histograms beside the files."""
    stamp: str
    """Names the case, and paths, sizes and times of its files."""
    files: str
    """The sum of the files, wherever they lie."""
    channels: tuple[Mergeable, ...]

    def to_line(self) -> bytes:
        """One sealed line of JSON."""
        row = {
            "case": self.case_id,
            "made": self.made,
            "stamp": self.stamp,
            "files": self.files,
            "channels": [channel.to_json() for channel in self.channels],
        }
        text = json_line(row).rstrip()[:-1]
        return b"%s%s%d}\n" % (text, _SEAL, google_crc32c.value(text))

    @classmethod
    def of_line(cls, line: bytes) -> CaseStatistics:
        """What ``to_line`` gave; ValueError where it is damaged."""
        text, seal, crc = line.rstrip(b"\n").rpartition(_SEAL)
        if not seal or crc != b"%d}" % google_crc32c.value(text):
            raise ValueError("the seal of a line does not fit")
        try:
            row: dict[str, Any] = json.loads(text + b"}")
            channels = tuple(map(mergeable_from_json, row["channels"]))
            return cls(row["case"], row["made"], row["stamp"], row["files"], channels)
        except _FAULTS as error:
            raise ValueError(f"a line does not hold the statistics of a case: {error!r}") from error


def statistics_key(digest: str, channels: Iterable[str]) -> str:
    """Names a config and the channels that the cases have."""
    text = json.dumps([digest, list(channels)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def file_stamp(case: Case) -> str:
    """Names a case and its source files as they are now, by path, size and time."""
    hashed = hashlib.sha256(case.id.encode("utf-8", "backslashreplace"))
    for path in sorted(set(case.files)):
        try:
            found = Path(path).stat()
            line = f"\0{path}\0{found.st_size}\0{found.st_mtime_ns}"
        except OSError:
            line = f"\0{path}\0"
        hashed.update(line.encode("utf-8", "backslashreplace"))
    return hashed.hexdigest()[:32]


def keep_case(root: Path, statistics: CaseStatistics) -> bool:
    """Add the statistics of a case; False where they are too long to be kept.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    line, file = statistics.to_line(), root / STATISTICS_FILE
    size = file.stat().st_size if file.exists() else 0
    if len(line) > MOST_BYTES or (len(line) > LARGE_BYTES and size + len(line) > ROOM_BYTES):
        return False
    append_bytes(file, line)
    return True


class KeptStatistics:
    """What is kept of cases: found by their stamps, or by an older line of theirs."""

    def __init__(self, root: Path, made: str) -> None:
        self._path = root / STATISTICS_FILE
        self._made = made
        self._current: dict[str, int] = {}  # where the line of a case begins
        self._older: dict[str, int] = {}  # the same of the last line with another stamp
        self._lines_read = self._end = 0
        self.damaged = 0
        """Lines that could not be read."""

    def matching(self, stamps: Mapping[str, str]) -> Iterator[CaseStatistics]:
        """The statistics of cases whose files bear these stamps, each once, in the order of the file."""
        for begin, line in self._lines():
            self._lines_read += 1
            self._end = begin + len(line)
            try:
                found = CaseStatistics.of_line(line)
            except ValueError:
                self.damaged += bool(line.strip())
                continue
            if found.made != self._made or found.case_id in self._current:
                continue
            if stamps.get(found.case_id) == found.stamp:
                self._current[found.case_id] = begin
                self._older.pop(found.case_id, None)
                yield found
            else:
                self._older[found.case_id] = begin

    def older(self, case_id: str) -> CaseStatistics | None:
        """The last line of a case that bears another stamp: its files may have been moved."""
        begin = self._older.get(case_id)
        if begin is None:
            return None
        with storage_faults(self._path, what="read"), self._path.open("rb") as file:
            file.seek(begin)
            return CaseStatistics.of_line(file.readline())

    def shorten(self) -> None:
        """Write the file anew where most of it is outdated; what was added since it was read stays."""
        kept = {*self._current.values(), *self._older.values()}
        if self._lines_read - len(kept) <= max(_SPARE, len(kept)):
            return
        lines = (line for begin, line in self._lines() if begin in kept or begin >= self._end)
        write_file(self._path, lines, fsync=True)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with storage_faults(self._path, what="read"):
            if not self._path.exists():
                return
            with self._path.open("rb") as file:
                begin = 0
                while line := file.readline(MOST_BYTES + 1):
                    yield begin, line
                    begin += len(line)
