"""Exact statistics of voxels: every number a plan needs, with no sample and no sorted copy.

Integer volumes become a ``Histogram``: counts of each value, from which count, extremes, mean, standard
deviation and every percentile follow, before or after any clip, and which add up to the cohort's. Other
volumes become a ``FloatDistribution``: order statistics by radix selection on the ordered bit patterns
of the voxels (see ``radix``), moments in float64.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.curve import Pointwise
from gpuprep.ops.distribution import NO_CLIP, SUMMARY_PERCENTILES, Clip, Distribution, ranks_around
from gpuprep.ops.histogram import Histogram, count_values
from gpuprep.ops.parallel import Pieces, open_threads
from gpuprep.ops.places import Places, first_reaching
from gpuprep.ops.radix import KeyCounts, count_keys, decode_key, select_keys

__all__ = [
    "SUMMARY_PERCENTILES",
    "Distribution",
    "FloatDistribution",
    "Histogram",
    "are_whole",
    "label_counts",
    "measure",
]

Array = NDArray[Any]

_SAMPLED_PLANES = 8
_NEAR = 1 << 15  # voxels whose places stay in a core's own cache


@dataclass(frozen=True, eq=False)
class FloatDistribution(Distribution):
    """Floating voxels, or integers spread too widely to count each value.

    It refers to the array, which must not change, and reads it again when asked.
    """

    array: Array
    mask: Array | None
    keys: KeyCounts
    threads: int = 1
    _ranked: dict[int, float] = field(default_factory=dict, repr=False)
    _moments: dict[Clip, tuple[float, float]] = field(default_factory=dict, repr=False)
    _below: dict[float, int] = field(default_factory=dict, repr=False)
    """What is known of them, since every output of a case asks for the same."""

    @property
    def count(self) -> int:
        return self.keys.count

    @property
    def nan(self) -> int:
        return self.keys.nan

    @property
    def inf(self) -> int:
        return self.keys.inf

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        if clip not in self._moments:
            count = self.filled()
            mean = self._sum(clip, 0.0, 1) / count
            self._moments[clip] = mean, math.sqrt(self._sum(clip, mean, 2) / count)
        return self._moments[clip]

    def _sum(self, clip: Clip, shift: float, power: int) -> float:
        """Sum of ``(clip(v) - shift) ** power``: float64 within a piece, exact over the pieces."""
        voxels = Pieces(self.array, self.mask)

        def partial(k: int) -> float:
            values = self._finite(voxels[k]).astype(np.float64)
            if clip != NO_CLIP:
                np.clip(values, *clip, out=values)
            values -= shift
            return float(np.sum(values if power == 1 else values * values))

        with open_threads(self.threads) as pool:
            return math.fsum(pool.map(partial, range(len(voxels))))

    def parts(self) -> Iterator[tuple[NDArray[np.float64], None]]:
        voxels = Pieces(self.array, self.mask)
        for k in range(len(voxels)):
            yield self._finite(voxels[k]).astype(np.float64), None

    def _finite(self, piece: Array) -> Array:
        return piece[np.isfinite(piece)] if self.nan or self.inf else piece

    def histogram_after(self, step: Pointwise, bins: int, ends: Clip) -> NDArray[np.int64]:
        low, high = self.minimum, self.maximum
        if self.array.dtype != np.float32 or step(low) > step(high):
            return super().histogram_after(step, bins, ends)
        edges = np.linspace(*ends, bins + 1)[1:-1]
        begins = first_reaching(edges, low, high, lambda v: np.clip(step.evaluate(v), *ends))
        places = Places.of(np.unique(np.append(np.float32(low), begins)))
        if places.hops > 1:  # so many bins are quicker counted one by one
            return super().histogram_after(step, bins, ends)
        voxels = Pieces(self.array, self.mask)

        def count(k: int) -> NDArray[np.intp]:
            values, found = self._finite(voxels[k]), np.zeros(len(places.x), np.intp)
            for start in range(0, len(values), _NEAR):
                near = places.find(values[start : start + _NEAR])
                found += np.bincount(near, minlength=len(found))
            return found

        with open_threads(self.threads) as pool:
            counts = sum(pool.map(count, range(len(voxels))), np.zeros(len(places.x), np.intp))
        found = np.zeros(bins, np.int64)
        found[np.searchsorted(begins, places.x, "right")] = counts
        return found

    def count_below(self, value: float) -> int:
        if value not in self._below:
            self._below[value] = self._counted_below(value)
        return self._below[value]

    def _counted_below(self, value: float) -> int:
        voxels, number = Pieces(self.array, self.mask), np.float64(value)

        def count(k: int) -> int:
            return int(np.count_nonzero(voxels[k] < number))

        infinite = 0
        if self.inf:  # of these, the negative ones are no values
            lowest = -np.inf
            infinite = sum(int(np.count_nonzero(voxels[k] == lowest)) for k in range(len(voxels)))
        with open_threads(self.threads) as pool:
            return sum(pool.map(count, range(len(voxels)))) - infinite

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        self.check_ranks(ranks)
        if not all(rank in self._ranked for rank in ranks):
            voxels, dtype, last = Pieces(self.array, self.mask), self.array.dtype, self.count - 1
            usual = ranks_around((q / 100 * last for q in (0, 100, *SUMMARY_PERCENTILES)), last)
            every = sorted({*usual, *ranks})  # all of them cost little more than one
            with open_threads(self.threads) as pool:
                keys = select_keys(voxels, self.keys, dtype, every, pool)
            found = (decode_key(key, dtype) for key in keys)
            self._ranked.update(zip(every, found, strict=True))
        return [self._ranked[rank] for rank in ranks]


def measure(array: Array, mask: Array | None = None, threads: int = 1) -> Distribution:
    """The distribution of an array's voxels, or of those where ``mask`` is not zero.

    Integers that span at most 4 Mi values give a ``Histogram``, everything else a ``FloatDistribution``.
    Any strides. ``threads`` changes no result.

    Raises:
        ValueError: the mask does not have the array's shape.
        TypeError: voxels are neither integers, booleans nor real numbers.
    """
    if mask is not None and mask.shape != array.shape:
        raise ValueError(f"mask of shape {mask.shape} for an array of shape {array.shape}")
    array = _native(array)
    if array.dtype.kind in "iu":
        sparse = mask is None and _is_sparse(array)
        histogram = count_values(array, mask, threads, sparse=sparse)
        if histogram is not None:
            return histogram
    with open_threads(threads) as pool:
        keys = count_keys(Pieces(array, mask), array.dtype, pool)
    return FloatDistribution(array, mask, keys, threads)


def _is_sparse(array: Array) -> bool:
    """Whether most voxels of a few planes are 0, as around a head; it changes times alone."""
    if array.ndim < 2 or not array.size:
        return False
    sample = array[:: -(-len(array) // _SAMPLED_PLANES)]
    return 2 * int(np.count_nonzero(sample)) < sample.size


def are_whole(array: Array) -> bool:
    """Whether every finite voxel of a floating array is a whole number."""
    voxels = Pieces(array)
    for k in range(len(voxels)):
        values = voxels[k]
        if not (values[np.isfinite(values)] % 1 == 0).all():
            return False
    return True


def label_counts(array: Array) -> dict[int, int]:
    """How many voxels each label has, by ascending label; TypeError unless they are integers."""
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels are integers, not {array.dtype}")
    array = _native(array)
    histogram = count_values(array, sparse=True)
    if histogram is not None:
        return histogram.occurring
    counts: dict[int, int] = {}
    voxels = Pieces(array)
    for k in range(len(voxels)):
        labels, numbers = np.unique(voxels[k], return_counts=True)
        for label, number in zip(labels.tolist(), numbers.tolist(), strict=True):
            counts[label] = counts.get(label, 0) + number
    return dict(sorted(counts.items()))


def _native(array: Array) -> Array:
    """Booleans as 0 and 1, half floats as float32, the machine's byte order."""
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise TypeError(f"voxels are integers or real numbers, not {array.dtype}")
    kind = np.float32 if array.dtype == np.float16 else array.dtype.newbyteorder("=")
    return array.astype(kind, copy=False)
