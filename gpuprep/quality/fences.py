"""How far is too far: robust fences around the numbers of a cohort.

The middle is the median *m*. On each side the spread *s* is the largest of three that agree for normal data:
the median absolute deviation × 1.4826, the distance from *m* to the quartile ÷ 0.6745, and that to the
fifth or ninety-fifth percentile ÷ 1.6449. The last keeps skewed measures inside, and a second group of cases
from 1 + n/20 cases on: 2 of 10 to 21, 3 of 22 to 41, 6 of 100. A smaller group that is far off is outside.
A number is outside where it lies more than *t* × *s* from *m*, with *t* = 5 + 40/n for n cases. Sizes are
compared by their logarithms. Where nearly all cases have one number, every other one is outside if they are
rare; if they are not, the last spread is that to the first or ninety-ninth percentile ÷ 2.3263.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.measures import Array

FEWEST = 10
"""Cases with a number, below which nothing is an outlier."""
AGREEING = 0.9
"""Share of cases from which on they nearly all agree."""
RARE = 0.02
"""Share of cases that may deviate from the others and be outliers; one case always may."""
_FENCE, _UNSURE = 5.0, 40.0
_MAD, _QUARTILE = 1.4826, 0.6745
_TAIL, _FAR = (0.05, 1.6449), (0.01, 2.3263)
_SAME = 1e-4  # relative
MOST_SCORE = 999.0


@dataclass(frozen=True, eq=False)
class Verdict:
    """What became of a measure.

    Attributes:
        rows: The cases outside, in ascending order.
        scores: How many spreads they are from the median, or how rare such cases are.
        low, high: The range of all other cases.
        inside: How many these are.
        count: Cases that have a number.
    """

    rows: NDArray[np.intp]
    scores: Array
    low: float
    high: float
    inside: int
    count: int


def judge(values: Array, *, is_size: bool, least: float) -> Verdict | None:
    """The cases outside the fences; None where there are too few to say.

    Args:
        values: One per case, NaN where there is none.
        is_size: Compare logarithms; numbers that are not positive are passed over.
        least: The smallest spread that is taken seriously: relative for sizes, else in the measure's unit.
    """
    rows = np.flatnonzero(values > 0) if is_size else np.flatnonzero(~np.isnan(values))
    if len(rows) < FEWEST:
        return None
    own = values[rows]
    scaled = np.log(own) if is_size else own
    ranked = np.sort(scaled)
    middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    apart = scaled - middle
    same = np.abs(apart) <= (_SAME if is_size else _SAME * max(abs(middle), least))
    agreed = same.mean() >= AGREEING
    few = int(np.count_nonzero(~same))
    if agreed and few <= most_rare(len(own)):
        scores = np.where(same | (np.abs(apart) < least), 0.0, rarity(few, len(own)))
        return _verdict(rows, own, scores)
    spread = np.where(apart < 0, *_spreads(ranked - middle, least, _FAR if agreed else _TAIL))
    scores = np.abs(apart) / spread
    scores[scores <= _FENCE + _UNSURE / len(own)] = 0.0
    return _verdict(rows, own, scores)


def rarity(few: int, count: int) -> float:
    """The score of being one of a few that are unlike the rest; 0 where they are not few."""
    return math.sqrt(count / few - 1) if 0 < few <= most_rare(count) else 0.0


def most_rare(count: int) -> int:
    """How many of so many cases may be unlike the others."""
    return max(1, math.floor(RARE * count))


def _spreads(apart: Array, least: float, tail: tuple[float, float]) -> tuple[float, float]:
    """The spread below and above the median of numbers, given their distances from it in ascending order.

    ``tail`` is the share of numbers beyond the outer percentile, and where it lies for normal ones.
    """
    mad = _MAD * float(np.median(np.abs(apart)))
    last = len(apart) - 1
    outer, inner = math.floor((1 - tail[0]) * last), math.floor(0.75 * last)
    below = max(mad, -apart[last - inner] / _QUARTILE, -apart[last - outer] / tail[1], least)
    above = max(mad, apart[inner] / _QUARTILE, apart[outer] / tail[1], least)
    return float(below), float(above)


def _verdict(rows: NDArray[np.intp], own: Array, scores: Array) -> Verdict:
    outside = scores > 0
    kept = own[~outside]
    return Verdict(
        rows[outside],
        np.minimum(scores[outside], MOST_SCORE),
        float(kept.min()),
        float(kept.max()),
        len(kept),
        len(own),
    )
