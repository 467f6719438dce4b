"""Voxels as sorted float32 values with running totals: exact statistics, of which files can be searched.

``ops.float_histogram`` adds up over cases with rounding in its bins; here nothing is rounded, cases stay
apart, and a look at one costs a few reads of a mapped file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Values = NDArray[np.float32]
Totals = NDArray[np.int64]
Times = NDArray[np.uint32]

SEED = 1234  # of nnU-Net's draws, for every case
_TABLE = 1 << 18  # whole numbers in a range of so many are counted in a table, others are sorted
_EXACT = 1 << 24  # whole numbers up to which float32 holds each
_TOGETHER = 1 << 21  # voxels counted, or drawn, together: bounds the memory


@dataclass(frozen=True, eq=False)
class ValueCounts:
    """A multiset of finite float32 numbers.

    Attributes:
        values: Distinct, ascending.
        totals: How many of the multiset are not above each.
    """

    values: Values
    totals: Totals

    @property
    def count(self) -> int:
        return int(self.totals[-1]) if len(self.totals) else 0

    def up_to(self, values: Values) -> Totals:
        """How many are not above each of ``values``."""
        places = np.searchsorted(self.values, values, side="right")
        found = np.zeros(len(places), np.int64)
        found[places > 0] = self.totals[places[places > 0] - 1]
        return found

    def moments(self) -> tuple[float, float]:
        """Mean and variance (of all, not n - 1) in float64; of an empty multiset both are 0."""
        if not self.count:
            return 0.0, 0.0
        counts = np.diff(self.totals, prepend=0)
        values = self.values.astype(np.float64)
        first = float(values[0])  # about it, so that equal values leave exactly nothing
        mean = float((values - first) @ counts) / self.count
        return first + mean, float((values - (first + mean)) ** 2 @ counts) / self.count


def count_values(voxels: Array, times: Times | None = None) -> ValueCounts:
    """The multiset of a row of voxels, rounded to float32, each once or as many ``times``."""
    if voxels.dtype.kind in "iub" and len(voxels):
        low, high = int(voxels.min()), int(voxels.max())
        if high - low < _TABLE and max(-low, high) <= _EXACT:
            counts = _table(voxels, times, low, high)
            there = np.flatnonzero(counts)
            return ValueCounts((there + low).astype(np.float32), np.cumsum(counts[there]))
    values = voxels.astype(np.float32)
    values += 0  # there is one zero
    if times is None:
        values.sort()
        places = np.flatnonzero(_ends(values))
        distinct = values[places]
        places += 1
        return ValueCounts(distinct, places)
    values, kept = values[times > 0], times[times > 0]
    order = np.argsort(values)
    values = values[order]
    last = _ends(values)
    return ValueCounts(values[last], np.cumsum(kept[order], dtype=np.int64)[last])


def _table(voxels: Array, times: Times | None, low: int, high: int) -> Totals:
    """How often each whole number from ``low`` to ``high`` occurs."""
    counts = np.zeros(high - low + 1, np.int64)
    for start in range(0, len(voxels), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        weights = None if times is None else times[part]
        found = np.bincount(voxels[part].astype(np.int64) - low, weights, len(counts))
        counts += found.astype(np.int64)
    return counts


def _ends(values: Values) -> NDArray[np.bool_]:
    """Where the last of equal neighbours is."""
    return np.append(values[1:] != values[:-1], True)[: len(values)]


def draw_as_nnunet(channels: Iterable[Array], draws: int) -> Iterator[ValueCounts]:
    """What nnU-Net 2.8 draws of a case's foreground, channel after channel, with replacement.

    Args:
        channels: The foreground voxels of each, in C order.
        draws: How many of each.

    Its sample is never held: how often each voxel is drawn tells the same.
    """
    state = np.random.RandomState(SEED)
    for voxels in channels:
        times = np.zeros(len(voxels), np.uint32)
        left = draws
        while left and len(voxels):
            drawn = state.randint(0, len(voxels), min(_TOGETHER, left))
            if len(voxels) < len(drawn):
                times += np.bincount(drawn, minlength=len(voxels)).astype(times.dtype)
            else:
                np.add.at(times, drawn, np.uint32(1))  # of another dtype it is slow
            left -= len(drawn)
        yield count_values(voxels, times)
