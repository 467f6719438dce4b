"""Statistics of one channel over all cases, from what each counted; no bit depends on an order of work."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.radix import decode_key, ordered_keys
from gpuprep.ops.value_counts import Totals, ValueCounts, Values

Numbers = dict[str, float]
Shares = tuple[Fraction, ...]

_FLOAT32 = np.dtype(np.float32)
_DIGIT, _DIGITS = 8, 256  # of a key, found in one look at all cases
_NEAR = 1e-9  # relative: sums in float64 this close to what is sought are taken exactly
_PERCENT = {
    "percentile_00_5": Fraction(1, 200),
    "median": Fraction(1, 2),
    "percentile_99_5": Fraction(199, 200),
}


@dataclass(frozen=True)
class CountedChannel:
    """What a case counted of one channel.

    Attributes:
        count: Of its foreground values.
        ends: The smallest and the largest; none of an empty foreground.
        mean: In float64.
        variance: In float64.
        held: Values and running totals, or the folder of their files.
    """

    count: int
    ends: tuple[float, ...]
    mean: float
    variance: float
    held: ValueCounts | Path

    @classmethod
    def of_row(cls, row: Mapping[str, Any], folder: Path) -> CountedChannel:
        """Of a record's row; ``folder`` is the case's."""
        held: ValueCounts | Path
        if "folder" in row:
            held = folder / row["folder"]
        else:
            values = np.array(row["values"], np.float32)
            held = ValueCounts(values, np.array(row["totals"], np.int64))
        return cls(int(row["count"]), tuple(row["ends"]), row["mean"], row["variance"], held)

    def up_to(self, values: Values) -> Totals:
        """How many are not above each of ``values``; of a file few pages are read."""
        held = self.held
        if isinstance(held, Path):
            values_file, totals_file = (
                np.load(held / f"{name}.npy", mmap_mode="r", allow_pickle=False)
                for name in ("values", "totals")
            )
            held = ValueCounts(values_file, totals_file)
        return held.up_to(values)


def mixture_statistics(cases: Sequence[CountedChannel]) -> Numbers:
    """Of the mixture in which every case has the same weight, whatever it counted.

    A percentile is the smallest value whose cumulated weight reaches it, exactly.

    Args:
        cases: In the order of the data set, empty ones left out.
    """
    weights = [Fraction(1, case.count) for case in cases]
    sought = [share * len(cases) for share in _PERCENT.values()]
    found = _smallest_reaching(cases, weights, sought)
    return _with_moments(dict(zip(_PERCENT, found, strict=True)), cases, [1.0] * len(cases))


def sample_statistics(cases: Sequence[CountedChannel], *, wide: bool) -> Numbers:
    """Of all values in one pool, as ``numpy.percentile`` has them: linear between neighbours.

    Args:
        cases: In the order of the data set, empty ones left out.
        wide: The pool is float64 rather than float32, which tells in the last digits of a percentile.
    """
    count = sum(case.count for case in cases)
    places = (count - 1) * (np.array([0.5, 50.0, 99.5]) / 100)
    before = np.floor(places)
    ranks = [Fraction(min(int(rank) + step, count)) for rank in before for step in (1, 2)]
    pool = np.array(
        _smallest_reaching(cases, [Fraction(1)] * len(cases), ranks),
        np.float64 if wide else np.float32,
    )
    between = _linear(pool[::2], pool[1::2], places - before)
    return _with_moments(
        dict(zip(_PERCENT, between.tolist(), strict=True)), cases, [c.count for c in cases]
    )


def _linear(low: NDArray[Any], high: NDArray[Any], part: NDArray[np.float64]) -> NDArray[Any]:
    """NumPy's own steps, so that the last bit is equal: the difference is taken in the pool's dtype."""
    step = high - low
    return np.where(part < 0.5, low + step * part, high - step * (1 - part))


def _with_moments(
    found: Numbers, cases: Sequence[CountedChannel], weights: Sequence[float]
) -> Numbers:
    whole = math.fsum(weights)
    mean = math.fsum(w * c.mean for w, c in zip(weights, cases, strict=True)) / whole
    spread = math.fsum(
        w * (c.variance + (c.mean - mean) ** 2) for w, c in zip(weights, cases, strict=True)
    )
    ends = [end for case in cases for end in case.ends]
    moments = {"mean": mean, "std": math.sqrt(spread / whole)}
    return {**found, **moments, "min": min(ends), "max": max(ends)}


def _smallest_reaching(
    cases: Sequence[CountedChannel], weights: Sequence[Fraction], sought: Sequence[Fraction]
) -> list[float]:
    """For each number sought the smallest value at which the weights of all values up to it reach it.

    The ordered bits of float32 are found eight at a time: every look asks each case how many of its values
    are below 256 bounds for each number sought, and keeps nothing else of it.
    """
    low, high = (int(k) for k in ordered_keys(np.array([-np.inf, np.inf], np.float32)))
    prefixes = [0] * len(sought)
    for shift in range(32 - _DIGIT, -1, -_DIGIT):
        ends = [((p + digit + 1) << shift) - 1 for p in prefixes for digit in range(_DIGITS)]
        bounds = _decoded(np.clip(ends, low, high).astype(np.uint32))
        below = np.stack([case.up_to(bounds) for case in cases])
        rows = below.reshape(len(cases), len(sought), _DIGITS)
        digits = [_first(rows[:, n], weights, number) for n, number in enumerate(sought)]
        prefixes = [(p + digit) << _DIGIT for p, digit in zip(prefixes, digits, strict=True)]
    keys = [min(max(prefix >> _DIGIT, low), high) for prefix in prefixes]
    return [decode_key(key, _FLOAT32) + 0.0 for key in keys]  # of the two zeros the positive one


def _decoded(keys: NDArray[np.uint32]) -> Values:
    """The float32 numbers of ordered keys."""
    sign = np.uint32(1 << 31)
    return np.where(keys & sign, keys ^ sign, ~keys).astype(np.uint32).view(np.float32)


def _first(below: NDArray[np.int64], weights: Sequence[Fraction], sought: Fraction) -> int:
    """The first column whose weighted sum reaches ``sought``; the last does."""
    rough = np.array([float(weight) for weight in weights]) @ below
    margin = _NEAR * max(float(sought), 1.0)
    first = int(np.searchsorted(rough, float(sought) - margin))
    last = min(int(np.searchsorted(rough, float(sought) + margin)), below.shape[1] - 1)
    while first < last:
        middle = (first + last) // 2
        terms = (w * int(n) for w, n in zip(weights, below[:, middle], strict=True))
        first, last = (first, middle) if sum(terms) >= sought else (middle + 1, last)
    return first
