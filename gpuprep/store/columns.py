"""Many rows of one form as columns: in memory, and as one file that is read at once.

A column is numbers (``n`` or ``n, k``), numbers of another count in each row, or JSON values of which each
different one is kept once. The file is an uncompressed ``.npz`` whose archive comment is the CRC32C of all
bytes before it, in eight hexadecimal digits.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

_SUM = 8  # digits
_FAULTS = (zipfile.BadZipFile, KeyError, IndexError, TypeError, ValueError, OSError, EOFError)


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A number, or equally many of them, in each row."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: int) -> Any:
        return self.values[place].tolist()

    def take(self, places: NDArray[np.intp]) -> Numbers:
        return Numbers(self.values[places])

    def joined(self, other: Numbers) -> Numbers:
        return Numbers(np.concatenate([self.values, other.values]))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Numbers:
        return cls(arrays["values"])


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Numbers, in each row as many as it has; row ``i`` ends at ``ends[i]``."""

    ends: NDArray[np.int64]
    values: NDArray[Any]

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]], dtype: type[Any]) -> Ragged:
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return cls(ends, np.array([number for row in rows for number in row], dtype))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, place: int) -> Any:
        start = self.ends[place - 1] if place else 0
        return self.values[start : self.ends[place]].tolist()

    @property
    def counts(self) -> NDArray[np.int64]:
        return np.diff(self.ends, prepend=0)

    @property
    def starts(self) -> NDArray[np.int64]:
        return self.ends - self.counts

    def take(self, places: NDArray[np.intp]) -> Ragged:
        counts = self.counts[places]
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        return Ragged(ends, self.values[np.repeat(self.starts[places], counts) + within])

    def joined(self, other: Ragged) -> Ragged:
        ends = np.concatenate([self.ends, other.ends + len(self.values)])
        return Ragged(ends, np.concatenate([self.values, other.values]))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        values = self.values
        if values.dtype.kind == "i" and values.size:
            values = values.astype(np.result_type(*map(np.min_scalar_type, _extent(values))))
        return {"counts": _small(self.counts), "values": values}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Ragged:
        values, ends = arrays["values"], np.cumsum(arrays["counts"], dtype=np.int64)
        if (int(ends[-1]) if len(ends) else 0) != len(values):
            raise ValueError("the counts of a column do not fit its values")
        return cls(ends, values if values.dtype.kind == "f" else values.astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Any JSON value in each row; row ``i`` has ``words[codes[i]]``, which nobody changes."""

    codes: NDArray[np.int64]
    words: list[Any]

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Words:
        """A column of texts, or one of other values."""
        known: dict[str, int] = {}
        words: list[Any] = []
        codes = []
        for row in rows:
            key = row if isinstance(row, str) else json.dumps(row)
            codes.append(known.setdefault(key, len(known)))
            if len(known) > len(words):
                words.append(row)
        return cls(np.array(codes, np.int64), words)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, place: int) -> Any:
        return self.words[self.codes[place]]

    def take(self, places: NDArray[np.intp]) -> Words:
        return Words(self.codes[places], self.words)

    def joined(self, other: Words) -> Words:
        codes = np.concatenate([self.codes, other.codes + len(self.words)])
        return Words(codes, [*self.words, *other.words])

    def each(self) -> NDArray[Any]:
        """The value of every row, as objects."""
        return objects(self.words)[self.codes]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        text = json.dumps(self.words, separators=(",", ":"))
        return {"codes": _small(self.codes), "words": np.frombuffer(text.encode(), np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Words:
        words, codes = json.loads(arrays["words"].tobytes()), arrays["codes"].astype(np.int64)
        if codes.size and int(codes.max()) >= len(words):
            raise ValueError("a column points to a word that it lacks")
        return cls(codes, words)


Column = Numbers | Ragged | Words
Columns = dict[str, Column]


def pack(columns: Mapping[str, Column], head: Mapping[str, Any]) -> bytes:
    """The bytes of a file of columns, with a few words of its own."""
    members = {
        f"{name}.{part}": array
        for name, column in columns.items()
        for part, array in column.to_arrays().items()
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, head=np.array(json.dumps(dict(head))), **members)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = b"0" * _SUM
    content = stream.getvalue()[:-_SUM]
    return content + _sum_of(content)


def _sum_of(content: bytes) -> bytes:
    return b"%08x" % google_crc32c.value(content)


def _is_whole(content: bytes) -> bool:
    return content[-_SUM:] == _sum_of(content[:-_SUM])


def unpack_head(content: bytes) -> dict[str, Any] | None:
    """The words of a file of columns; None for anything else."""
    if not _is_whole(content):
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            return dict(json.loads(str(members["head"])))
    except _FAULTS:
        return None


def unpack(
    content: bytes, kinds: Mapping[str, type[Column]], later: Collection[str] = ()
) -> Columns | None:
    """The columns of a file whose head was read, and whose kinds are known; None if of another form.

    Columns ``later``, Words and Numbers, may be absent: they are empty texts and NaN then.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            columns: Columns = {}
            for name, kind in kinds.items():
                parts = [each for each in members.files if each.rpartition(".")[0] == name]
                if not parts and name in later:
                    continue
                arrays = {part.rpartition(".")[2]: members[part] for part in parts}
                columns[name] = kind.from_arrays(arrays)
    except _FAULTS:
        return None
    count = max(map(len, columns.values()), default=0)
    columns |= {name: _none(kinds[name], count) for name in later if name not in columns}
    return columns if len({len(column) for column in columns.values()}) == 1 else None


def _none(kind: type[Column], count: int) -> Column:
    if kind is Words:
        return Words(np.zeros(count, np.int64), [""])
    return Numbers(np.full(count, np.nan))


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """An array of these objects as they are, also where they are sequences."""
    array = np.empty(len(values), object)
    for place, value in enumerate(values):
        array[place] = value
    return array


def _extent(values: NDArray[Any]) -> tuple[int, int]:
    return int(values.min()), int(values.max())


def _small(values: NDArray[np.int64]) -> NDArray[Any]:
    """Numbers from 0 on in the fewest bytes."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
