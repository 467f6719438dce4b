"""Integer voxels as counts per value: exact statistics that add up over cases in any order."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.distribution import NO_CLIP, Clip, Distribution
from gpuprep.ops.parallel import Pieces, open_threads, split

Array = NDArray[Any]
Counts = NDArray[np.int64]

_WORD = 8  # voxels, which are 8 or 16 bytes
MOST_BINS = 1 << 22  # values a histogram may span: 32 MiB of counts


@dataclass(frozen=True, eq=False)
class Histogram(Distribution):
    """How often each integer from ``start`` on occurs; the first and the last count are not zero."""

    start: int
    counts: Counts

    @classmethod
    def of(cls, start: int, counts: Counts) -> Histogram:
        """The histogram without the zeros at both ends."""
        filled = np.flatnonzero(counts)
        if not len(filled):
            return cls(0, np.zeros(0, np.int64))
        return cls(start + int(filled[0]), counts[filled[0] : filled[-1] + 1].copy())

    @cached_property
    def _cumulated(self) -> Counts:
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

    @property
    def occurring(self) -> dict[int, int]:
        """The values that occur and how often, ascending."""
        present = np.flatnonzero(self.counts)
        values = (self.start + int(k) for k in present)
        return dict(zip(values, self.counts[present].tolist(), strict=True))

    @property
    def points(self) -> tuple[NDArray[np.float64], Counts]:
        """The values that occur, ascending, and how often."""
        present = np.flatnonzero(self.counts)
        return (present + self.start).astype(np.float64), self.counts[present]

    def parts(self) -> Iterator[tuple[NDArray[np.float64], Counts]]:
        yield self.points

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        count = self.filled()
        present = np.flatnonzero(self.counts)
        counts = self.counts[present].astype(np.float64)
        values = np.clip((present + self.start).astype(np.float64), *clip)
        mean = math.fsum(values * counts) / count
        return mean, math.sqrt(math.fsum((values - mean) ** 2 * counts) / count)

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        self.check_ranks(ranks)
        bins = np.searchsorted(self._cumulated, np.asarray(ranks, np.int64), side="right")
        return [float(self.start + int(k)) for k in bins]

    def count_below(self, value: float) -> int:
        place = min(math.ceil(value) - self.start, len(self.counts))
        return int(self._cumulated[place - 1]) if place > 0 else 0

    def above(self, threshold: float | None) -> Histogram:
        """Of the values above a number alone; None: of those other than 0."""
        counts = self.counts.copy()
        first, stop = (0, 1) if threshold is None else (self.start, math.floor(threshold) + 1)
        counts[max(first - self.start, 0) : max(stop - self.start, 0)] = 0
        return Histogram.of(self.start, counts)

    def merge(self, other: Histogram) -> Histogram:
        """The histogram of both sets of voxels; the order of merging does not matter.

        Raises ValueError where the two together span too many values to count.
        """
        if not len(self.counts) or not len(other.counts):
            return self if len(self.counts) else other
        start, stop = min(self.start, other.start), max(self.stop, other.stop)
        if stop - start > MOST_BINS:
            raise ValueError(f"values {start} … {stop - 1} are too many to count in one histogram")
        counts = np.zeros(stop - start, np.int64)
        for part in (self, other):
            counts[part.start - start : part.stop - start] += part.counts
        return Histogram(start, counts)

    def to_json(self) -> dict[str, Any]:
        """Start, number of bins and the counts (bytes of equal weight together, zlib, base64)."""
        packed = pack_counts(self.counts)
        return {"start": self.start, "bins": len(self.counts), "counts": packed}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Histogram:
        """What ``to_json`` gave; ValueError where it is damaged or too large."""
        bins = int(fields["bins"])
        if not 0 <= bins <= MOST_BINS:
            raise ValueError(f"a histogram of {bins} bins is beyond the limit of {MOST_BINS}")
        return cls.of(int(fields["start"]), unpack_counts(fields["counts"], bins))


def pack_counts(counts: Counts) -> str:
    """Whole numbers as text: bytes of equal weight together, zlib, base64."""
    planes = counts.astype("<i8").view(np.uint8).reshape(-1, 8).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")


def unpack_counts(text: str, bins: int) -> Counts:
    """The ``bins`` numbers that ``pack_counts`` packed; ValueError for others, and for negative ones."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(base64.b64decode(text, validate=True), 8 * bins + 1)
    except (zlib.error, binascii.Error) as error:
        raise ValueError(f"the counts of a histogram are damaged: {error}") from error
    if len(raw) != 8 * bins or not stream.eof:
        raise ValueError(f"a histogram of {bins} bins came with {len(raw)} bytes of counts")
    planes = np.frombuffer(raw, np.uint8).reshape(8, bins)
    counts = np.ascontiguousarray(planes.T).view("<i8").ravel().astype(np.int64)
    if (counts < 0).any():
        raise ValueError("a histogram holds negative counts")
    return counts


def count_values(
    array: Array, mask: Array | None = None, threads: int = 1, *, sparse: bool = False
) -> Histogram | None:
    """The histogram of an integer array; None where its values span too much to count them all.

    ``sparse`` says that most voxels are likely to be 0; it changes the time that counting takes, no result.
    """
    narrow = array.dtype.itemsize <= 2
    span = _dtype_span(array) if narrow else _value_span(array)
    if span is None:
        return None
    start, bins = span
    voxels = Pieces(array, mask)

    def count(group: Sequence[int]) -> Counts:
        total = np.zeros(bins, np.int64)
        for k in group:
            values = voxels[k]
            kept = _without_zeros(values) if sparse and narrow else values
            total += np.bincount(_bins(kept, start), minlength=bins)
            total[0] += (
                values.size - kept.size
            )  # the bin of 0: those of narrow values are bit patterns
        return total

    with open_threads(threads) as pool:
        totals = pool.map(count, split(range(len(voxels)), pool.count))
    total = np.zeros(bins, np.int64)
    for part in totals:
        total += part
    # up to 16 bits, bins are bit patterns: the negative values come last
    return Histogram.of(start, np.roll(total, -start) if narrow else total)


def _dtype_span(array: Array) -> tuple[int, int]:
    limits = np.iinfo(array.dtype)
    return int(limits.min), int(limits.max) - int(limits.min) + 1


def _value_span(array: Array) -> tuple[int, int] | None:
    if not array.size:
        return 0, 0
    start = int(array.min())
    bins = int(array.max()) - start + 1
    return (start, bins) if bins <= MOST_BINS else None


def _without_zeros(values: Array) -> Array:
    """The voxels less those that lie in words of zeros only; all of them where words cannot be made."""
    whole = values.size - values.size % _WORD
    if not values.flags.c_contiguous or not whole:
        return values
    words = values[:whole].view(np.uint64)
    kept = words[words != 0].view(values.dtype)
    return kept if whole == values.size else np.concatenate([kept, values[whole:]])


def _bins(values: Array, start: int) -> Array:
    if values.dtype.itemsize <= 2:
        return values.view(np.dtype(f"u{values.dtype.itemsize}"))
    return (values - values.dtype.type(start)).astype(np.int64)
