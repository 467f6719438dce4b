"""Distributions as counts in bins, so that a page draws them however many cases there are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.measures import Array

_MOST = 40  # bins
_REACH = (
    3.0  # interquartile ranges beyond the quartiles; what lies farther is in the first or last bin
)


@dataclass(frozen=True, eq=False)
class Binned:
    """The bin of every case.

    Attributes:
        edges: One more than there are bins, ascending. Bins between the first and the last are equally wide;
            these two reach to the extremes.
        places: The bin of each case, -1 where it has no number.
        low, median, high: The 5th, 50th and 95th percentile.
    """

    edges: Array
    places: NDArray[np.int16]
    low: float
    median: float
    high: float

    def counts(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """How many cases, or chosen ones, are in each bin."""
        places = self.places if chosen is None else self.places[chosen]
        return np.bincount(places + 1, minlength=len(self.edges))[1:]


def bin_values(values: Array) -> Binned:
    """Bins for the numbers of all cases; at least one of them is no NaN."""
    there = ~np.isnan(values)
    ordered = np.sort(values[there])
    edges = bin_edges(ordered)
    places = np.full(len(values), -1, np.int16)
    places[there] = np.searchsorted(edges[1:-1], values[there], side="right")
    at = np.array([0.05, 0.5, 0.95]) * (len(ordered) - 1)
    return Binned(edges, places, *np.interp(at, np.arange(len(ordered)), ordered).tolist())


def bin_edges(ordered: Array) -> Array:
    """Edges of about as many bins as numbers in ascending order are worth."""
    low, high = float(ordered[0]), float(ordered[-1])
    if low == high:
        half = abs(low) * 0.05 or 0.5
        return np.array([low - half, high + half])
    last = len(ordered) - 1
    first, third = float(ordered[last // 4]), float(ordered[last - last // 4])
    reach = _REACH * (third - first) or (high - low)
    start, stop = max(low, first - reach), min(high, third + reach)
    count = min(_MOST, max(5, math.ceil(2 * len(ordered) ** (1 / 3))))
    if _are_whole(ordered):  # bins are as many whole numbers wide
        width = max(1, math.ceil((stop - start + 1) / count))
        edges = np.arange(math.floor(start), math.ceil(stop) + width + 1, width) - 0.5
    else:
        edges = np.linspace(start, stop, count + 1)
    edges[0], edges[-1] = min(edges[0], low), max(edges[-1], high)
    return edges


def _are_whole(values: Array) -> bool:
    return bool((values[:100] % 1 == 0).all() and (values % 1 == 0).all())
