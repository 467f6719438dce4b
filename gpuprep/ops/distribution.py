"""What every set of measured voxels can tell, whatever it is kept in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.curve import Pointwise

Clip = tuple[float, float]

NO_CLIP = (-math.inf, math.inf)
SUMMARY_PERCENTILES = (0.5, 1, 5, 25, 50, 75, 95, 99, 99.5)


class Distribution(ABC):
    """The voxels of one volume, or of a cohort, as far as statistics are concerned.

    NaN and ±Inf are counted and left out of everything else. Methods raise ValueError where there is
    nothing to measure (``count == 0``).
    """

    @property
    @abstractmethod
    def count(self) -> int:
        """Finite voxels (inside the mask)."""

    @property
    @abstractmethod
    def nan(self) -> int:
        """Voxels that are NaN."""

    @property
    @abstractmethod
    def inf(self) -> int:
        """Voxels that are infinite."""

    @abstractmethod
    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        """Mean and standard deviation (ddof 0) of the values clipped to ``(low, high)``."""

    @abstractmethod
    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        """The values at the given positions (0 is the smallest) of the sorted values."""

    @abstractmethod
    def count_below(self, value: float) -> int:
        """How many are smaller than a number."""

    def parts(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64] | None]]:
        """All values, in as many arrays as it takes, with how often each counts (None: once)."""
        raise NotImplementedError(f"{type(self).__name__} does not hand out its values")

    def moments_after(self, step: Pointwise) -> tuple[float, float]:
        """Mean and standard deviation (ddof 0) of what a step makes of the values."""
        mean = self._mean_after(step, 0.0, 1)
        return mean, math.sqrt(self._mean_after(step, mean, 2))

    def _mean_after(self, step: Pointwise, shift: float, power: int) -> float:
        sums = []
        for values, counts in self.parts():
            found = step.evaluate(values) - shift
            found = found if power == 1 else found * found
            sums.append(float(np.sum(found if counts is None else found * counts)))
        return math.fsum(sums) / self.filled()

    def histogram_after(self, step: Pointwise, bins: int, ends: Clip) -> NDArray[np.int64]:
        """What a step makes of the values, counted in equally wide bins as ``numpy.histogram`` does."""
        found = np.zeros(bins, np.float64)
        for values, counts in self.parts():
            results = np.clip(step.evaluate(values), *ends)
            found += np.histogram(results, bins, ends, weights=counts)[0]
        return found.astype(np.int64)

    def shares_beyond(self, low: float, high: float) -> tuple[float, float]:
        """The share of values at or below one number, and at or above another."""
        count = self.filled()
        below = self.count_below(math.nextafter(low, math.inf))
        return below / count, (count - self.count_below(high)) / count

    @property
    def minimum(self) -> float:
        return self.order_statistics([0])[0]

    @property
    def maximum(self) -> float:
        return self.order_statistics([self.count - 1])[0]

    def percentiles(self, qs: Iterable[float]) -> list[float]:
        """The percentiles ``qs`` (0 … 100), linear between order statistics.

        Equal, to the bit, to ``numpy.percentile(values.astype(float64), q)``.
        """
        last = self.filled() - 1
        positions = [_checked(q) / 100 * last for q in qs]
        below = [min(math.floor(position), last) for position in positions]
        ranks = ranks_around(positions, last)
        value = dict(zip(ranks, self.order_statistics(ranks), strict=True))
        return [
            between(value[rank], value[min(rank + 1, last)], position - rank)
            for position, rank in zip(positions, below, strict=True)
        ]

    def summary(self) -> dict[str, Any]:
        """The usual numbers, ready for JSON; null where there are no voxels."""
        numbers: dict[str, Any] = dict.fromkeys(("min", "max", "mean", "std"))
        percentiles: Sequence[float | None] = [None] * len(SUMMARY_PERCENTILES)
        if self.count:
            numbers["mean"], numbers["std"] = self.moments()
            ends = (0, 100)
            low, high, *percentiles = self.percentiles((*ends, *SUMMARY_PERCENTILES))
            numbers["min"], numbers["max"] = low, high
        names = [f"{q:g}" for q in SUMMARY_PERCENTILES]
        return {
            "count": self.count,
            **numbers,
            "percentiles": dict(zip(names, percentiles, strict=True)),
            "nan": self.nan,
            "inf": self.inf,
        }

    def filled(self) -> int:
        """The count; ValueError where it is zero."""
        if self.count == 0:
            raise ValueError("no voxels to measure: the mask is empty or nothing is finite")
        return self.count

    def check_ranks(self, ranks: Sequence[int]) -> None:
        """ValueError unless every rank is one of the sorted values."""
        count = self.filled()
        if any(not 0 <= rank < count for rank in ranks):
            raise ValueError(f"ranks {list(ranks)} are not all in 0 … {count - 1}")


def ranks_around(positions: Iterable[float], last: int) -> list[int]:
    """The positions among sorted values on either side of fractional ones, ascending."""
    below = {min(math.floor(position), last) for position in positions}
    return sorted(below | {min(rank + 1, last) for rank in below})


def between(a: float, b: float, t: float) -> float:
    """NumPy's own linear interpolation, from the nearer end."""
    return b - (b - a) * (1 - t) if t >= 0.5 else a + (b - a) * t


def _checked(q: float) -> float:
    if not 0 <= q <= 100:
        raise ValueError(f"percentile {q} is not in 0 … 100")
    return q
