"""Exact statistics of voxels: every number a plan needs, from counts, with no sample and no sorted copy.

Integer volumes become a ``Histogram``: int64 counts of each value, from which count, extremes, mean,
standard deviation and every percentile follow, before or after any clip; histograms of cases add up to
the cohort's. Other volumes (floating, or integers spread too widely to count) become ``FloatDistribution``: order
statistics by radix selection on the ordered bit patterns of the voxels (see ``radix``).

NaN and ±Inf are counted and left out of everything else. Standard deviations have ddof 0; percentiles
equal ``numpy.percentile(values.astype(float64), q)`` to the bit.
"""

from __future__ import annotations

import base64
import math
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.parallel import open_threads, split
from gpuprep.ops.pieces import Pieces
from gpuprep.ops.radix import KeyCounts, count_keys, decode_key, select_keys

Array = NDArray[Any]
Clip = tuple[float, float]

SUMMARY_PERCENTILES = (0.5, 1, 5, 25, 50, 75, 95, 99, 99.5)
_NO_CLIP = (-math.inf, math.inf)
_MOST_BINS = 1 << 22  # values a histogram may span: 32 MiB of counts


class Distribution(ABC):
    """The voxels of one volume, or of a cohort, as far as statistics are concerned.

    Methods raise ValueError where there is nothing to measure (``count == 0``).
    """

    @property
    @abstractmethod
    def count(self) -> int:
        """Voxels that are numbers (inside the mask)."""

    @property
    @abstractmethod
    def nan(self) -> int:
        """Voxels that are NaN; they count nowhere else."""

    @property
    @abstractmethod
    def inf(self) -> int:
        """Voxels that are infinite; they count nowhere else."""

    @abstractmethod
    def moments(self, clip: Clip = _NO_CLIP) -> tuple[float, float]:
        """Mean and standard deviation (ddof 0) of the values clipped to ``(low, high)``."""

    @abstractmethod
    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        """The values at the given positions (0 is the smallest) of the sorted values."""

    @property
    def minimum(self) -> float:
        return self.order_statistics([0])[0]

    @property
    def maximum(self) -> float:
        return self.order_statistics([self.count - 1])[0]

    def percentiles(self, qs: Iterable[float]) -> list[float]:
        """``numpy.percentile(values, q)`` of each ``q`` in 0 … 100 (linear between order statistics)."""
        last = self._filled().count - 1
        positions = [_checked(q) / 100 * last for q in qs]
        below = [min(math.floor(position), last) for position in positions]
        ranks = sorted({*below, *(min(rank + 1, last) for rank in below)})
        value = dict(zip(ranks, self.order_statistics(ranks), strict=True))
        return [
            _between(value[rank], value[min(rank + 1, last)], position - rank)
            for position, rank in zip(positions, below, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """The usual numbers, ready for JSON; null where there are no voxels."""
        empty = self.count == 0
        mean, std = (None, None) if empty else self.moments()
        percentiles = [None] * len(SUMMARY_PERCENTILES) if empty else self.percentiles(SUMMARY_PERCENTILES)
        return {
            "count": self.count,
            "min": None if empty else self.minimum,
            "max": None if empty else self.maximum,
            "mean": mean,
            "std": std,
            "percentiles": {f"{q:g}": v for q, v in zip(SUMMARY_PERCENTILES, percentiles, strict=True)},
            "nan": self.nan,
            "inf": self.inf,
        }

    def _filled(self) -> Distribution:
        if self.count == 0:
            raise ValueError("no voxels to measure: the mask is empty or nothing is finite")
        return self


@dataclass(frozen=True, eq=False)
class Histogram(Distribution):
    """How often each integer from ``start`` on occurs; first and last count are not zero."""

    start: int
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, start: int, counts: NDArray[np.int64]) -> Histogram:
        """The histogram without the zeros at both ends."""
        filled = np.flatnonzero(counts)
        if not len(filled):
            return cls(0, np.zeros(0, np.int64))
        return cls(start + int(filled[0]), counts[filled[0] : filled[-1] + 1].copy())

    @cached_property
    def _cumulated(self) -> NDArray[np.int64]:
        return np.cumsum(self.counts)

    @property
    def count(self) -> int:
        return int(self._cumulated[-1]) if len(self.counts) else 0

    @property
    def nan(self) -> int:
        return 0

    @property
    def inf(self) -> int:
        return 0

    @property
    def stop(self) -> int:
        """One more than the largest value."""
        return self.start + len(self.counts)

    def moments(self, clip: Clip = _NO_CLIP) -> tuple[float, float]:
        count = self._filled().count
        present = np.flatnonzero(self.counts)
        counts = self.counts[present].astype(np.float64)
        values = np.clip((present + self.start).astype(np.float64), *clip)
        mean = math.fsum(values * counts) / count
        return mean, math.sqrt(math.fsum((values - mean) ** 2 * counts) / count)

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        _check_ranks(ranks, self._filled().count)
        bins = np.searchsorted(self._cumulated, np.asarray(ranks, np.int64), side="right")
        return [float(self.start + int(k)) for k in bins]

    def merge(self, other: Histogram) -> Histogram:
        """The histogram of both sets of voxels; the order of merging does not matter.

        Raises ValueError where the two together span too many values to count.
        """
        if not len(self.counts) or not len(other.counts):
            return self if len(self.counts) else other
        start, stop = min(self.start, other.start), max(self.stop, other.stop)
        if stop - start > _MOST_BINS:
            raise ValueError(f"values {start} … {stop - 1} are too many to count in one histogram")
        counts = np.zeros(stop - start, np.int64)
        for part in (self, other):
            counts[part.start - start : part.stop - start] += part.counts
        return Histogram(start, counts)

    def to_json(self) -> dict[str, Any]:
        """Start, number of bins and the counts (bytes of equal weight together, zlib, base64)."""
        planes = self.counts.astype("<i8").view(np.uint8).reshape(-1, 8).T
        packed = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")
        return {"start": self.start, "bins": len(self.counts), "counts": packed}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Histogram:
        """What ``to_json`` gave; ValueError where it is damaged or too large."""
        start, bins = int(fields["start"]), int(fields["bins"])
        if not 0 <= bins <= _MOST_BINS:
            raise ValueError(f"a histogram of {bins} bins is beyond the limit of {_MOST_BINS}")
        stream = zlib.decompressobj()
        try:
            raw = stream.decompress(base64.b64decode(fields["counts"], validate=True), 8 * bins + 1)
        except zlib.error as error:
            raise ValueError(f"histogram counts are damaged: {error}") from error
        counts = np.frombuffer(raw, np.uint8)
        if len(counts) != 8 * bins or not stream.eof:
            raise ValueError(f"histogram of {bins} bins holds {len(counts)} bytes of counts")
        table = np.ascontiguousarray(counts.reshape(8, bins).T).view("<i8").ravel().astype(np.int64)
        if (table < 0).any():
            raise ValueError("histogram holds negative counts")
        return cls.of(start, table)


@dataclass(frozen=True, eq=False)
class FloatDistribution(Distribution):
    """Voxels too varied to count one by one. It refers to the array and reads it again when asked."""

    array: Array
    mask: Array | None
    keys: KeyCounts
    threads: int = 1

    @property
    def count(self) -> int:
        return self.keys.count

    @property
    def nan(self) -> int:
        return self.keys.nan

    @property
    def inf(self) -> int:
        return self.keys.inf

    def moments(self, clip: Clip = _NO_CLIP) -> tuple[float, float]:
        count = self._filled().count
        mean = self._sum(clip, 0.0, 1) / count
        return mean, math.sqrt(self._sum(clip, mean, 2) / count)

    def _sum(self, clip: Clip, shift: float, power: int) -> float:
        """Sum of ``(clip(v) - shift) ** power``: float64 within a piece, exact over the pieces."""

        voxels = Pieces(self.array, self.mask)

        def partial(k: int) -> float:
            values = voxels[k].astype(np.float64)
            if self.nan or self.inf:
                values = values[np.isfinite(values)]
            values = np.clip(values, *clip) - shift
            return float(np.sum(values if power == 1 else values * values))

        with open_threads(self.threads) as pool:
            return math.fsum(pool.map(partial, range(len(voxels))))

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        _check_ranks(ranks, self._filled().count)
        with open_threads(self.threads) as pool:
            keys = select_keys(
                Pieces(self.array, self.mask), self.keys, self.array.dtype, ranks, pool
            )
        return [decode_key(key, self.array.dtype) for key in keys]


def measure(array: Array, mask: Array | None = None, threads: int = 1) -> Distribution:
    """The distribution of an array's voxels, or of those where ``mask`` is not zero.

    Integers that span at most 4 Mi values give a ``Histogram``, everything else a ``FloatDistribution``.
    Any strides; the mask has the array's shape (else ValueError). ``threads`` changes no result.
    """
    if mask is not None and mask.shape != array.shape:
        raise ValueError(f"mask of shape {mask.shape} for an array of shape {array.shape}")
    array = _native(array)
    if array.dtype.kind in "iu":
        span = _span(array)
        if span is not None:
            return _histogram(array, mask, span, threads)
    with open_threads(threads) as pool:
        keys = count_keys(Pieces(array, mask), array.dtype, pool)
    return FloatDistribution(array, mask, keys, threads)


def label_counts(array: Array) -> dict[int, int]:
    """How many voxels each label has, by ascending label; any integer dtype."""
    counts: dict[int, int] = {}
    array = _native(array)
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels are integers, not {array.dtype}")
    span = _span(array)
    if span is not None:
        histogram = _histogram(array, None, span, 1)
        present = np.flatnonzero(histogram.counts)
        return {histogram.start + int(k): int(histogram.counts[k]) for k in present}
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


def _span(array: Array) -> tuple[int, int] | None:
    """The values to count: of the whole dtype up to 16 bits, else those met, if not too many."""
    if array.dtype.itemsize <= 2:
        limits = np.iinfo(array.dtype)
        return int(limits.min), int(limits.max) + 1
    if not array.size:
        return 0, 0
    start, stop = int(array.min()), int(array.max()) + 1
    return (start, stop) if stop - start <= _MOST_BINS else None


def _histogram(
    array: Array, mask: Array | None, span: tuple[int, int], threads: int
) -> Histogram:
    start, stop = span
    voxels = Pieces(array, mask)

    def count(group: Sequence[int]) -> NDArray[np.int64]:
        total = np.zeros(stop - start, np.int64)
        for k in group:
            total += np.bincount(_bins(voxels[k], start), minlength=stop - start)
        return total

    with open_threads(threads) as pool:
        totals = pool.map(count, split(range(len(voxels)), pool.count))
    total = np.sum(totals, axis=0, dtype=np.int64) if totals else np.zeros(0, np.int64)
    if array.dtype.itemsize <= 2:
        total = np.roll(total, -start)  # bit patterns: the negative values come last
    return Histogram.of(start, total)


def _bins(values: Array, start: int) -> Array:
    if values.dtype.itemsize <= 2:
        return values.view(np.dtype(f"u{values.dtype.itemsize}"))
    if values.dtype == np.uint64:
        return (values - np.uint64(start)).astype(np.int64)
    return values.astype(np.int64) - start


def _between(a: float, b: float, t: float) -> float:
    """numpy's own interpolation, from the nearer end."""
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t


def _checked(q: float) -> float:
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q} is not in 0 … 100")
    return q


def _check_ranks(ranks: Sequence[int], count: int) -> None:
    if any(not 0 <= rank < count for rank in ranks):
        raise ValueError(f"ranks {list(ranks)} are not all in 0 … {count - 1}")
