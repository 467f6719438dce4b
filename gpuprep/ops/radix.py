"""Exact order statistics without sorting: voxels as ordered bit patterns, counted 16 bits at a time.

The bits of a floating number, with the sign bit turned over and negative numbers inverted, order as
unsigned integers exactly as the numbers do; so do integers with the sign bit turned over. One pass
counts the upper 16 bits; each further pass counts the next 16 of the voxels that still matter. Upper bits are
counted as they are stored, and their counts put in order.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.parallel import Pieces, Threads, split

Array = NDArray[Any]
Counts = NDArray[np.int64]

_DIGITS = 1 << 16


@dataclass(frozen=True, eq=False)
class KeyCounts:
    """The first pass: how often each upper half of a key occurs among the finite voxels."""

    count: int
    nan: int
    inf: int
    upper: Counts


def count_keys(pieces: Pieces, dtype: np.dtype[Any], pool: Threads) -> KeyCounts:
    """Count the upper 16 bits of every voxel's key, and the voxels that are NaN or infinite."""
    first, last = _finite_range(dtype)
    places = _places(dtype)
    odd = np.flatnonzero((places < first) | (places >= last))

    def count_group(group: Sequence[int]) -> tuple[Counts, int]:
        total, infinite = np.zeros(_DIGITS, np.int64), 0
        for k in group:
            piece = pieces[k]
            found = np.bincount(_upper(piece), minlength=_DIGITS)
            if found[odd].any():
                infinite += int(np.count_nonzero(np.isinf(piece)))
            total += found
        return total, infinite

    results = pool.map(count_group, split(range(len(pieces)), pool.count))
    finite = np.zeros(_DIGITS, np.int64)
    for upper, _ in results:
        finite[places] += upper
    infinite = sum(number for _, number in results)
    every = int(finite.sum())
    finite[places[odd]] = 0
    count = int(finite.sum())
    return KeyCounts(count, every - count - infinite, infinite, finite)


def select_keys(
    pieces: Pieces, counts: KeyCounts, dtype: np.dtype[Any], ranks: Sequence[int], pool: Threads
) -> list[int]:
    """The keys at the given positions of the sorted finite voxels."""
    found = {rank: _descend(counts.upper, 0, rank) for rank in ranks}
    uppers = sorted({prefix for prefix, _ in found.values()})
    row = np.full(_DIGITS, -1, np.int16)
    row[uppers] = range(len(uppers))
    rows = row[_places(dtype)]
    for shift in range(dtype.itemsize * 8 - 32, -1, -16):
        prefixes = sorted({prefix for prefix, _ in found.values()})
        table = _count_digits(pieces, rows, prefixes, shift, pool)
        found = {
            rank: _descend(table[prefixes.index(prefix)], prefix, position)
            for rank, (prefix, position) in found.items()
        }
    return [found[rank][0] for rank in ranks]


def ordered_keys(values: Array) -> Array:
    """Unsigned integers that order as the values do."""
    bits = values.dtype.itemsize * 8
    kind = np.dtype(f"u{values.dtype.itemsize}").type
    keys = values.view(kind)
    sign = kind(1 << (bits - 1))
    if values.dtype.kind == "u":
        return keys
    if values.dtype.kind == "i":
        return keys ^ sign
    signed = values.view(np.dtype(f"i{values.dtype.itemsize}"))
    return keys ^ ((signed >> (bits - 1)).view(kind) | sign)


def decode_key(key: int, dtype: np.dtype[Any]) -> float:
    """The value of a key, as float64."""
    bits = dtype.itemsize * 8
    sign = 1 << (bits - 1)
    if dtype.kind == "u":
        return float(key)
    if dtype.kind == "i":
        return float(key - sign)
    pattern = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return float(np.array(pattern, np.dtype(f"u{dtype.itemsize}")).view(dtype))


def float32_of_keys(keys: NDArray[Any]) -> NDArray[np.float64]:
    """The float32 numbers of ordered keys, as float64."""
    bits = keys.astype(np.uint32)
    sign = np.uint32(1 << 31)
    bits = np.where(bits & sign, bits ^ sign, ~bits)
    return bits.view(np.float32).astype(np.float64)


def _finite_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The upper halves that only finite numbers have: those between -Inf's and +Inf's."""
    if dtype.kind != "f":
        return 0, _DIGITS
    ends = np.array([-np.inf, np.inf], dtype)
    low, high = _places(dtype)[_upper(ends)].tolist()
    return low + 1, high


def _upper(values: Array) -> NDArray[np.uint16]:
    """The upper 16 bits of each number, as they are stored."""
    halves = values.dtype.itemsize // 2
    first = halves - 1 if sys.byteorder == "little" else 0
    return np.ascontiguousarray(values).view(np.uint16)[first::halves]


def _places(dtype: np.dtype[Any]) -> NDArray[np.intp]:
    """For all upper 16 bits as they are stored, what they are in the ordered key."""
    stored = np.arange(_DIGITS).astype(np.uint16)
    return ordered_keys(stored.view(f"{dtype.kind}2")).astype(np.intp)


def _descend(counts: Counts, prefix: int, position: int) -> tuple[int, int]:
    """The prefix with its next digit, and the position among the keys that begin so."""
    before = np.cumsum(counts)
    digit = int(np.searchsorted(before, position, side="right"))
    return prefix * _DIGITS + digit, position - (int(before[digit - 1]) if digit else 0)


def _count_digits(
    pieces: Pieces, rows: NDArray[np.int16], prefixes: Sequence[int], shift: int, pool: Threads
) -> Counts:
    """Per prefix, how often each next digit occurs among the keys that begin with it.

    ``rows`` has for all upper 16 bits, as they are stored, which of the different ones that prefixes begin
    with they are, or -1.
    """
    known, counting = np.array(prefixes, np.uint64), threading.Lock()
    total, deeper = np.zeros(len(prefixes) * _DIGITS, np.int64), prefixes[-1] >= _DIGITS

    def count(number: int) -> None:
        piece = pieces[number]
        row = rows.take(_upper(piece))
        chosen = np.flatnonzero(row >= 0)  # quicker than by whether, twice
        keys, row = ordered_keys(piece.take(chosen)), row.take(chosen)
        found = _digits(keys, known, shift) if deeper else _next(keys, row, shift)
        with counting:  # one table of counters, as it is larger than all that a piece takes
            np.add.at(total, found, 1)

    pool.map(count, range(len(pieces)))
    return total.reshape(len(prefixes), _DIGITS)


def _digits(keys: Array, prefixes: NDArray[np.uint64], shift: int) -> NDArray[np.intp]:
    """Row of the prefix times 65,536 plus the next digit, for the keys that have a known prefix."""
    begin = (keys >> (shift + 16)).astype(np.uint64)
    row = np.searchsorted(prefixes, begin)
    match = prefixes[np.minimum(row, len(prefixes) - 1)] == begin
    return _next(keys[match], row[match], shift)


def _next(keys: Array, row: NDArray[Any], shift: int) -> NDArray[np.intp]:
    digit = ((keys >> shift) & (_DIGITS - 1)).astype(np.intp)
    return digit + row.astype(np.intp) * _DIGITS
