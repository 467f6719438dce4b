"""The deviation over the mean as N4 of ITK has it, which decides when its iterations end.

ITK takes one value after the other and rounds the mean so far and the sum of squares to float32 each time
(``CalculateConvergenceMeasurement`` of itkN4BiasFieldCorrectionImageFilter, Welford's recursion). After some
hundred thousand values a new one moves the mean by less than half of float32's step: the mean stands still
where it is, and what is measured may be a third too large. Who stops elsewhere has another bias field.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FIRST = 1 << 11  # values of which the mean so far is hardly touched by rounding
_BLOCK = 1 << 15
_SHARE = 4  # a block is at most this part of what is before it
_TURNS = 20  # more than it takes


def deviation_as_itk(values: NDArray[np.float32]) -> float:
    """The standard deviation over the mean of values near 1, in their order; 0 for a single one."""
    head = values[:_FIRST].astype(np.float64)
    means = np.cumsum(head) / np.arange(1, head.size + 1)
    total = _added(np.float32(0), head[1:] - means[:-1], 1)
    mean = np.float32(means[-1])
    start = head.size
    while start < values.size:
        block = values[start : start + min(_BLOCK, start // _SHARE)].astype(np.float64)
        before, after = _means_before(block, mean, start)
        total = _added(total, np.subtract(block, before, out=block), start)
        mean, start = after, start + block.size
    return math.sqrt(total / max(values.size - 1, 1)) / float(mean)


def _means_before(
    block: NDArray[np.float64], mean: np.float32, known: int
) -> tuple[Any, np.float32]:
    """The mean of all before each value of a block, ``known`` ones before the first, and that after it.

    A mean moves by whole steps of float32. How many depends on the means before: they are taken from the turn
    before, until they stay.
    """
    unit = float(np.spacing(mean))
    reach = np.arange(known + 1, known + block.size + 1) * unit
    before: Any = float(mean)
    after, moved = mean, np.zeros(block.size)
    for _ in range(_TURNS):
        moves = np.rint((block - before) / reach)
        if (moves == moved).all():
            break
        means = float(mean) + np.cumsum(np.append(0.0, moves)) * unit
        before, after, moved = means[:-1], np.float32(means[-1]), moves
    return before, after


def _added(total: np.float32, away: NDArray[np.float64], known: int) -> np.float32:
    """A sum of squares to which those of some values are added one by one, ``known`` ones before them."""
    count = np.arange(known, known + away.size)
    squares = away * away * (count / (count + 1))
    return np.float32(np.add.accumulate(np.append(total, squares.astype(np.float32)))[-1])
