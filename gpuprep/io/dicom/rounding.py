"""Slice positions that were printed with one decimal: how far off they may be, and whether it explains them.

Some exporters round millimetres to tenths. Slices every 0.6667 mm then have gaps of 0.6 and 0.7 mm; the
mean step is right all the same.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_PER_MM = 10
_HALF = 0.5 / _PER_MM
_EXACT = 1e-6  # mm: what is left of printed decimals in float64
_WHOLE = 1e-3  # tenths: what printing six digits leaves of whole ones
_FINE = 4  # a gap of fewer roundings could as well be a missing slice
_STEPS = 100


def rounding_of(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[float, float]:
    """By how many mm rounding may have moved a slice along its normal, and across it; 0 where it did not.

    A coordinate counts as rounded where it changes from slice to slice in whole tenths of a millimetre, be it
    from a position that has more decimals.
    """
    tenths = (positions - positions[0]) * _PER_MM
    whole = np.abs(tenths - np.rint(tenths)).max(axis=0) <= _WHOLE
    moved = np.where(whole & (np.ptp(positions, axis=0) > 0), _HALF, 0.0)
    return float(np.abs(normal) @ moved), float(np.linalg.norm(moved))


def is_rounded(heights: NDArray[np.float64], rounding: float) -> bool:
    """Whether even slices, each moved by up to ``rounding``, can lie at these heights.

    Not for steps so short that a missing slice would look the same.
    """
    gap = float(np.median(np.diff(heights)))
    if rounding == 0 or gap <= _FINE * rounding:
        return False
    return _spread(heights) <= 2 * rounding + _EXACT


def _spread(heights: NDArray[np.float64]) -> float:
    """Of all even steps, the least range in which the heights lie about them (convex in the step)."""
    numbers = np.arange(len(heights))
    low, high = float(np.diff(heights).min()), float(np.diff(heights).max())
    best = math.inf
    for _ in range(_STEPS):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        one, other = (float(np.ptp(heights - step * numbers)) for step in (first, second))
        best = min(best, one, other)
        low, high = (low, second) if one < other else (first, high)
    return best
