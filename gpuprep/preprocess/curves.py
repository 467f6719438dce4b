"""The steps that bend values, as tables: gamma, logarithm, equalisation.

Between its knots a table is straight. Those of gamma and logarithm lie as close as it takes to stay within
2.5e-7 of the range of the results everywhere, by the bound ``step² / 8 · |second derivative|``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.curve import Curve, Pointwise, curve
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.statistics import Distribution
from gpuprep.ops.table import Table

_WITHIN = 2.5e-7


def gamma(value: float, ends: tuple[float, float], *, hold: bool) -> Pointwise:
    """``low + width * ((x - low) / width) ** value`` for x within the ends, as MONAI's AdjustContrast.

    With ``hold`` the results beyond the ends are those at the ends.

    With knots at ``t ** (2 / value)``, t in equal steps of 1/n, each piece is off by the same
    ``|value - 1| / (2 · value · n²)`` of the range.
    """
    low, high = ends
    width = high - low
    if not width or value == 1:
        return ClipAffine()
    number = math.ceil(math.sqrt(abs(value - 1) / (2 * value * _WITHIN)))
    even = np.linspace(0.0, 1.0, max(number, 2) + 1)
    x = low + width * even ** (2 / value)
    places = np.minimum((x - low) / width, 1.0)  # of what is left of them beside ``low``
    return _through(x, low + width * places**value, hold=hold)


def logarithm(ends: tuple[float, float], *, hold: bool) -> Pointwise:
    """``ln(1 + x - low)`` for x within the ends.

    With knots whose results lie in n equal steps, each piece is off by ``range / (8 · n²)`` of the range.
    """
    low, high = ends
    reach = math.log1p(high - low)
    number = math.ceil(math.sqrt(reach / (8 * _WITHIN)))
    even = np.linspace(0.0, reach, max(number, 2) + 1)
    if not reach:
        return ClipAffine(scale=0.0, offset=0.0)
    x = np.minimum(low + np.expm1(even), high)
    x[-1] = high
    return _through(x, np.log1p(x - low), hold=hold)


def equalize(values: Distribution, chain: Pointwise, bins: int) -> Pointwise:
    """The share of values after the chain that are at most x: at the middles of bins, straight between.

    As scikit-image's ``equalize_hist`` of floating images; beyond the first and last middle it is flat.
    """
    ends = chain.bounds(values.minimum, values.maximum)
    if ends[0] == ends[1]:
        return ClipAffine(scale=0.0, offset=1.0)
    shares = np.cumsum(values.histogram_after(chain, bins, ends)) / values.count
    edges = np.linspace(*ends, bins + 1)
    return _through((edges[:-1] + edges[1:]) / 2, shares, hold=True)


def _through(x: NDArray[np.float64], y: NDArray[np.float64], *, hold: bool) -> Pointwise:
    """The table through some points, flat beyond them; with ``hold`` that is a clip of its own."""
    if y[0] == y[-1]:
        return ClipAffine(scale=0.0, offset=float(y[0]))
    if hold:
        return curve(Table.of(x.tolist(), y.tolist()))
    width = x[-1] - x[0]  # no value is there, but by rounding
    xs, ys = (x[0] - width, *x, x[-1] + width), (y[0], *y, y[-1])
    return Curve(Table.of(xs, ys))
