"""What ``manifest.jsonl`` says of the cases, read in one go: from ``index.npz`` as far as that goes.

A run adds a line to the manifest for each case. At its end they are written as columns to ``index.npz``,
which says how many bytes of the manifest it stands for, and their CRC32C. Where these are no more the first
bytes of the manifest, it is passed over, and every line is read. Lines behind them are added. A manifest that
has the size and the time that ``index.npz`` says is not read at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import google_crc32c
import numpy as np

from gpuprep.store.columns import (
    Column,
    Columns,
    Numbers,
    Ragged,
    Words,
    pack,
    unpack,
    unpack_head,
)
from gpuprep.store.facts import Facts
from gpuprep.store.layout import INDEX_FILE, MANIFEST_FILE
from gpuprep.store.local import LocalPath
from gpuprep.store.places import Place, parse_lines

_FORM = 1  # of the file
_FAULTS = (KeyError, TypeError, ValueError, AttributeError)
_TEXTS = (
    *("case", "digest", "seen", "record", "source", "input"),
    *("channels", "labels", "measures", "findings", "attributes", "files"),
    "orientation",
)
_NUMBERS: Mapping[str, type[Any]] = {
    "shape": np.int32,
    "spacing": np.float64,
    "source_shape": np.int32,
    "source_spacing": np.float64,
    "source_bytes": np.int64,
    "oblique": np.float64,
    "kept": np.float64,
}
_SCALARS = ("source_bytes", "oblique", "kept")
_LATER = ("orientation", "oblique", "kept")
"""Columns that files of older versions lack."""
_RAGGED: Mapping[str, type[Any]] = {
    "voxels": np.int64,
    "statistics": np.float64,
    "sizes": np.int64,
}
_KINDS: Mapping[str, type[Column]] = {
    **dict.fromkeys(_TEXTS, Words),
    **dict.fromkeys(_NUMBERS, Numbers),
    **dict.fromkeys(_RAGGED, Ragged),
}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class CaseIndex:
    """The latest line of each case.

    Attributes:
        columns: Of the cases whose line tells all that ``Facts`` has, one row each.
        brief: The lines of all others, by id, as older versions wrote them.
        read: Lines of the manifest that ``index.npz`` did not stand for.
        etag: Of the manifest on an object store; empty where there is none.
    """

    columns: Columns
    brief: Mapping[str, Row] = field(default_factory=dict)
    read: int = 0
    etag: str = ""

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The row of each case in the columns."""
        return {case_id: place for place, case_id in enumerate(self.texts("case").each().tolist())}

    @property
    def ids(self) -> tuple[str, ...]:
        """Of all cases, in no order."""
        return (*self.places, *self.brief)

    @property
    def files(self) -> int:
        """How many files the cases of the columns have, with their records."""
        sizes = self.columns["sizes"]
        assert isinstance(sizes, Ragged)
        return len(sizes.values) + len(sizes)

    def texts(self, name: str) -> Words:
        """A column of JSON values."""
        column = self.columns[name]
        assert isinstance(column, Words)
        return column

    def row(self, case_id: str) -> Row | None:
        """The line of a case; None where it has none."""
        place = self.places.get(case_id)
        if place is None:
            return self.brief.get(case_id)
        return {name: column[place] for name, column in self.columns.items()}

    def to_bytes(self, manifest: bytes, time: int | None = None) -> bytes:
        """``index.npz`` for a manifest that says the same, last changed at ``time`` (ns)."""
        head = {
            "form": _FORM,
            "covers": len(manifest),
            "time": time,
            "crc32c": google_crc32c.value(manifest),
            "brief": list(self.brief.values()),
        }
        return pack(self.columns, head)


def read_index(root: Place) -> CaseIndex:
    """What the list of cases of an output says; empty where there is none.

    Raises:
        StoreError: the disk or the store does not give a file.
    """
    file, packed = root / MANIFEST_FILE, (root / INDEX_FILE).content() or b""
    if not isinstance(file, LocalPath):
        manifest, etag = file.versioned() or (b"", "")
        return replace(index_of(manifest, packed), etag=etag)
    head = _head(packed)
    if head and _stands_for(head, file.stamp()) and (known := _columns(packed, head)):
        return known
    return index_of(file.content() or b"", packed)


def index_of_columns(packed: bytes) -> CaseIndex | None:
    """What ``index.npz`` says by itself, where it is known to stand for the whole list; None if damaged."""
    head = _head(packed)
    return None if head is None else _columns(packed, head)


def stands_for(packed: bytes, stamp: tuple[int, int] | None) -> bool:
    """Whether ``index.npz`` stands for all of a manifest that has this size and time."""
    head = _head(packed)
    return head is not None and _stands_for(head, stamp)


def stands_for_bytes(packed: bytes, manifest: bytes) -> bool:
    """Whether ``index.npz`` stands for these very lines."""
    head = _head(packed)
    return head is not None and _covers(head, manifest)


def _covers(head: Mapping[str, Any], lines: bytes) -> bool:
    told = head.get("covers"), head.get("crc32c")
    return told == (len(lines), google_crc32c.value(lines))


def _stands_for(head: Mapping[str, Any], stamp: tuple[int, int] | None) -> bool:
    return stamp == (head.get("covers"), head.get("time"))


def index_of(manifest: bytes, packed: bytes = b"") -> CaseIndex:
    """The index out of the bytes of ``manifest.jsonl``, and those of ``index.npz`` as far as they fit."""
    known, covered = _unpacked(manifest, packed)
    lines = manifest[covered:].split(b"\n")
    rows = {str(row["case"]): row for row in parse_lines(filter(None, lines)) if "case" in row}
    if not rows:
        return known
    full = {case_id: told for case_id, row in rows.items() if (told := _whole(row)) is not None}
    kept = np.array([case_id not in rows for case_id in known.places], bool)
    columns = {
        name: known.columns[name].take(np.flatnonzero(kept)).joined(other)  # type: ignore[arg-type]
        for name, other in columns_of(full.values()).items()
    }
    brief = {case_id: row for case_id, row in known.brief.items() if case_id not in rows}
    return CaseIndex(columns, brief | {i: r for i, r in rows.items() if i not in full}, len(rows))


def columns_of(rows: Iterable[Row]) -> Columns:
    """Lines that tell all as columns."""
    rows = list(rows)
    columns: Columns = {name: Words.of(row[name] for row in rows) for name in _TEXTS}
    for name, dtype in _NUMBERS.items():
        shape = (len(rows),) if name in _SCALARS else (len(rows), 3)
        columns[name] = Numbers(np.array([row[name] for row in rows], dtype).reshape(shape))
    for name, dtype in _RAGGED.items():
        columns[name] = Ragged.of([row[name] for row in rows], dtype)
    return columns


def _whole(row: Row) -> Row | None:
    """A line that tells all, each thing in its own type; None for any other."""
    facts = Facts.of_row(row)
    try:
        labels = {str(name): list(map(int, told)) for name, told in row["labels"].items()}
        channels = list(map(str, row["channels"]))
    except _FAULTS:
        return None
    if facts is None or sum(map(len, labels.values())) != len(facts.voxels):
        return None
    if sum(map(len, facts.measures)) != len(facts.statistics):
        return None
    if len(facts.files) != len(facts.sizes):
        return None
    told = {"case": row["case"], "digest": str(row.get("digest")), "seen": str(row.get("seen", ""))}
    return {**told, "channels": channels, "labels": labels, **facts.to_row()}


def _unpacked(manifest: bytes, packed: bytes) -> tuple[CaseIndex, int]:
    """What ``index.npz`` says, and of how many bytes of the manifest; nothing where they differ."""
    with suppress(*_FAULTS):
        if head := _head(packed):
            part = manifest[: head["covers"]]
            if _covers(head, part) and (known := _columns(packed, head)):
                return known, len(part)
    return CaseIndex(columns_of([])), 0


def _head(packed: bytes) -> dict[str, Any] | None:
    head = unpack_head(packed) if packed else None
    return head if head is not None and head.get("form") == _FORM else None


def _columns(packed: bytes, head: Mapping[str, Any]) -> CaseIndex | None:
    """What ``index.npz`` with this head says; None where it is of another form."""
    columns = unpack(packed, _KINDS, _LATER)
    with suppress(*_FAULTS):
        if columns is not None:
            return CaseIndex(columns, {row["case"]: row for row in head["brief"]})
    return None
