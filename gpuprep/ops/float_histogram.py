"""Fractional voxels as counts per narrow bin: statistics that add up over cases in any order.

The ordered bits of a float32 (see ``radix``) are cut in two. The upper 22 name a *bin*: values of one sign
and one exponent that agree in 13 bits of their fraction. The lower 10 are the voxel's *step* within it, so
that the voxel is the bin's first value plus step times the distance of neighbouring float32 numbers. A bin
keeps how many voxels it has, the sum of their steps, and the sum of the squares of these: three whole
numbers, whose sums no order changes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.distribution import NO_CLIP, Clip, Distribution
from gpuprep.ops.histogram import Counts, Histogram, pack_counts, unpack_counts
from gpuprep.ops.parallel import Pieces, open_threads
from gpuprep.ops.radix import float32_of_keys, ordered_keys

Array = NDArray[Any]
Numbers = NDArray[np.float64]

_STEP_BITS = 10
_STEPS = 1 << _STEP_BITS
_BINS = 1 << (32 - _STEP_BITS)


@dataclass(frozen=True, eq=False)
class FloatHistogram(Distribution):
    """How many finite voxels each bin has, and the sums of their steps and of their steps squared.

    Bins without voxels are left out: there are at most as many as voxels, and 2²². Mean and standard
    deviation are those of the voxels as float32, to the rounding of float64. An order statistic, and so a
    percentile, is off by less than the width of its bin: 2⁻¹³ (0.012 %) of its value. Whole numbers up to
    16,384 have bins of their own and are exact. Clipped moments take a bin that holds a bound as if its
    voxels were all at its mean. A bin may have 2⁴² voxels.
    """

    places: Counts
    counts: Counts
    sums: Counts
    squares: Counts
    absent: tuple[int, int] = (0, 0)
    """Voxels that are NaN, and that are infinite."""

    @classmethod
    def of(cls, histogram: Histogram) -> FloatHistogram:
        """The same voxels; whole numbers above 2²⁴ are rounded to float32."""
        present = np.flatnonzero(histogram.counts)
        keys = ordered_keys((present + histogram.start).astype(np.float32))
        return cls._of_keys(keys, histogram.counts[present])

    @classmethod
    def _of_keys(
        cls,
        keys: NDArray[np.uint32],
        weights: Counts | None = None,
        absent: tuple[int, int] = (0, 0),
    ) -> FloatHistogram:
        """Ascending keys, each counted once or ``weights`` times."""
        if not len(keys):
            return cls(_NONE, _NONE, _NONE, _NONE, absent)
        places = keys >> np.uint32(_STEP_BITS)
        first = np.append(0, 1 + np.flatnonzero(places[1:] != places[:-1]))
        places = places[first].astype(np.int64)
        steps = (keys & np.uint32(_STEPS - 1)).astype(np.int64)
        if weights is None:
            counts, sums = np.diff(first, append=len(keys)), np.add.reduceat(steps, first)
            return cls(places, counts, sums, np.add.reduceat(steps * steps, first), absent)
        parts = (weights, weights * steps, weights * steps * steps)
        counts, sums, squares = (np.add.reduceat(part, first) for part in parts)
        return cls(places, counts, sums, squares, absent)

    @property
    def count(self) -> int:
        return int(self._cumulated[-1]) if len(self.counts) else 0

    @property
    def nan(self) -> int:
        return self.absent[0]

    @property
    def inf(self) -> int:
        return self.absent[1]

    @cached_property
    def _cumulated(self) -> Counts:
        return np.cumsum(self.counts)

    @cached_property
    def _first(self) -> Numbers:
        """The smallest value of each bin."""
        return float32_of_keys(self.places << _STEP_BITS)

    @cached_property
    def _unit(self) -> Numbers:
        """What one step is worth."""
        return float32_of_keys((self.places << _STEP_BITS) + 1) - self._first

    @cached_property
    def _means(self) -> Numbers:
        return self._first + self._unit * (self.sums / self.counts)

    @property
    def points(self) -> tuple[Numbers, Counts]:
        """The mean of each bin, ascending, and how many voxels it has."""
        return self._means, self.counts

    def parts(self) -> Iterator[tuple[Numbers, Counts]]:
        yield self.points

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        count, (low, high) = self.filled(), clip
        means = np.clip(self._means, low, high)
        mean = math.fsum(means * self.counts) / count
        whole, rest = np.divmod(self.sums, self.counts)
        # about the whole step below the mean first, so that equal voxels leave exactly nothing
        about = self.squares - 2 * whole * self.sums + whole * whole * self.counts
        within = (about - rest * rest / self.counts) * self._unit**2
        within[(self._first < low) | (self._first + self._unit * (_STEPS - 1) > high)] = 0
        spread = math.fsum((means - mean) ** 2 * self.counts + within)
        return mean, math.sqrt(max(spread, 0.0) / count)

    def count_below(self, value: float) -> int:
        """How many lie in bins whose mean is smaller."""
        return int(self.counts[self._means < value].sum())

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        self.check_ranks(ranks)
        found = np.searchsorted(self._cumulated, np.asarray(ranks, np.int64), side="right")
        return [float(value) for value in self._means[found]]

    def merge(self, *others: FloatHistogram) -> FloatHistogram:
        """The histogram of all sets of voxels; the order of merging changes no bit."""
        return reduce(FloatHistogram._with, others, self)

    def _with(self, other: FloatHistogram) -> FloatHistogram:
        """The same, with no more memory than the result and some of the smaller one takes."""
        few, many = sorted((self, other), key=lambda each: len(each.places))
        at = np.searchsorted(many.places, few.places)
        fresh = at == len(many.places)
        fresh[~fresh] = many.places[at[~fresh]] != few.places[~fresh]
        before = at[fresh]
        shared = (at + np.cumsum(fresh))[~fresh]  # where the others are once these are there

        def added(more: Counts, there: Counts) -> Counts:
            found = np.insert(there, before, more[fresh])
            found[shared] += more[~fresh]
            return found

        return FloatHistogram(
            np.insert(many.places, before, few.places[fresh]),
            added(few.counts, many.counts),
            added(few.sums, many.sums),
            added(few.squares, many.squares),
            (self.nan + other.nan, self.inf + other.inf),
        )

    def to_json(self) -> dict[str, Any]:
        """Number of bins, distances of their places, counts and sums (packed as a ``Histogram``'s)."""
        return {
            "bins": len(self.places),
            "places": pack_counts(np.diff(self.places, prepend=0)),
            "counts": pack_counts(self.counts),
            "sums": pack_counts(self.sums),
            "squares": pack_counts(self.squares),
            "absent": list(self.absent),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> FloatHistogram:
        """What ``to_json`` gave; ValueError where it is damaged or too large."""
        bins = int(fields["bins"])
        if not 0 <= bins <= _BINS:
            raise ValueError(f"a histogram of {bins} bins is beyond the limit of {_BINS}")
        names = ("places", "counts", "sums", "squares")
        steps, counts, sums, squares = (unpack_counts(fields[name], bins) for name in names)
        places = np.cumsum(steps)
        if bins and (places[-1] >= _BINS or (steps[1:] == 0).any() or (counts == 0).any()):
            raise ValueError("the bins of a histogram are damaged")
        nan, inf = fields["absent"]
        return cls(places, counts, sums, squares, (int(nan), int(inf)))


def count_floats(array: Array, mask: Array | None = None, threads: int = 1) -> FloatHistogram:
    """The histogram of an array's voxels as float32, or of those where ``mask`` is not zero.

    ``threads`` changes no result.
    """
    voxels, total, merging = Pieces(array, mask), EMPTY, threading.Lock()

    def count(piece: int) -> None:
        nonlocal total
        found = _count_piece(voxels[piece])
        with merging:  # one total, as it may be larger than all that a piece takes
            total = total.merge(found)

    with open_threads(threads) as pool:
        pool.map(count, range(len(voxels)))
    return total


def _count_piece(piece: Array) -> FloatHistogram:
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(piece, np.float32)
    finite = np.isfinite(values)
    nan = int(np.count_nonzero(np.isnan(values)))
    absent = nan, len(values) - int(np.count_nonzero(finite)) - nan
    keys = ordered_keys(values if absent == (0, 0) else values[finite])
    keys.sort()
    return FloatHistogram._of_keys(keys, absent=absent)


_NONE = np.zeros(0, np.int64)
EMPTY = FloatHistogram(_NONE, _NONE, _NONE, _NONE)
"""No voxels."""
