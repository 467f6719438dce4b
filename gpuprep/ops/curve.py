"""Monotone curves: gamma, logarithm, equalisation, learnt standards, as clip, table and line.

The form ``clip → table → line`` is closed under composition, as ``pointwise``'s ``clip → line`` is, which it
contains: a chain of any length folds into one ``Curve``, and into a ``ClipAffine`` where nothing bends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.ops.buckets import Buckets
from gpuprep.ops.pointwise import ClipAffine, cast_to, clip
from gpuprep.ops.segments import Segments, pieces
from gpuprep.ops.table import Table

_PIECE = 1 << 16  # numbers whose places stay in a core's own cache
_LUT_BYTES = 2  # integers of so many bytes are looked up
_FLOAT32_WHOLE = 2.0**24


@dataclass(frozen=True)
class Curve:
    """The function ``table(clip(x, low, high)) * scale + offset`` of one voxel, which is no constant.

    Raises ValueError as ``ClipAffine`` does, and for a scale of 0.
    """

    table: Table
    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        ClipAffine(self.low, self.high, self.scale, self.offset)
        if self.scale == 0:
            raise ValueError("a curve of scale 0 is a constant")

    identity = False

    @property
    def clips(self) -> bool:
        return self.low > -math.inf or self.high < math.inf

    @property
    def before(self) -> ClipAffine:
        """The clip alone."""
        return clip(self.low, self.high)

    @property
    def line(self) -> ClipAffine:
        """What comes after the table."""
        return ClipAffine(scale=self.scale, offset=self.offset)

    def __call__(self, value: float) -> float:
        """The result for one number, in float64."""
        return self.table(min(max(value, self.low), self.high)) * self.scale + self.offset

    def bounds(self, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
        """The smallest and largest result for inputs in ``[low, high]``."""
        ends = self(low), self(high)
        return min(ends), max(ends)

    def inverse(self, value: float) -> float:
        """A number that gives ``value``, held within the clip; see ``Table.inverse``."""
        found = self.table.inverse((value - self.offset) / self.scale)
        return min(max(found, self.low), self.high)

    def in_integers(self, dtype: np.dtype[Any]) -> None:
        """None: a curve is not worked out in integers."""

    def then(self, following: Pointwise) -> Pointwise:
        """This followed by another, as one: ``f.then(g)(x) = g(f(x))``.

        >>> root = Curve(Table((0.0, 1.0, 4.0), (0.0, 1.0, 2.0)), low=0.0, high=4.0)
        >>> folded = root.then(clip(0.0, 1.5)).then(ClipAffine(scale=10.0))
        >>> folded(-5.0), folded(0.5), folded(2.5), folded(9.0)
        (0.0, 5.0, 15.0, 15.0)
        """
        if isinstance(following, ClipAffine) and not following.clips and following.scale:
            scale, offset = following.scale, following.offset
            return replace(self, scale=self.scale * scale, offset=self.offset * scale + offset)
        return compose(self, following)

    def evaluate(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """The results for many numbers, in float64."""
        inside = np.clip(values.astype(np.float64), self.low, self.high)
        return self.table.evaluate(inside) * self.scale + self.offset

    def apply(
        self,
        array: NDArray[Any],
        dtype: DTypeLike = np.float32,
        out: NDArray[Any] | None = None,
        scratch: NDArray[np.float32] | None = None,
    ) -> NDArray[Any]:
        """As ``ClipAffine.apply``, NaN staying NaN; results are within 1e-6 of their range.

        Integers of at most 16 bits are looked up, so that a curve costs them little more than a line.
        """
        if out is None:
            out = np.empty(array.shape, dtype)
        if array.dtype.kind in "iub" and array.itemsize <= _LUT_BYTES:
            table, unsigned = self.looked_up(array.dtype, out.dtype), f"u{array.itemsize}"
            for part, target in pieces(array.view(unsigned), out, _PIECE):
                np.take(table, part, out=target, mode="wrap")
        elif self._as_float32(array.dtype) and out.dtype.kind != "i" and out.itemsize <= 4:
            (self.buckets or self.segments).apply(array, out)
        else:
            for part, target in zip(np.atleast_2d(array), np.atleast_2d(out), strict=True):
                cast_to(self.evaluate(part), target)
        return out

    def looked_up(self, source: np.dtype[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The result for every value of an integer dtype of at most 16 bits, at its bits' place."""
        if (source, dtype) not in self._tables:
            every = np.arange(1 << (8 * source.itemsize)).astype(f"u{source.itemsize}")
            found = np.empty(every.shape, dtype)
            values = every.view(np.uint8 if source.kind == "b" else source)
            self._tables[source, dtype] = cast_to(self.evaluate(values), found)
        return self._tables[source, dtype]

    def straight_parts(self) -> tuple[NDArray[np.float64], ...]:
        """Of each segment, in float64: the knot where it begins, the result there, and the slope.

        Numbers are to be held within the clip first; the outer two segments go on.
        """
        x, y = self.table.arrays
        slopes = np.diff(y) / np.diff(x) * self.scale
        return x[:-1].copy(), y[:-1] * self.scale + self.offset, slopes

    @cached_property
    def segments(self) -> Segments:
        """The same for float32."""
        return Segments.of(self.table.x, self.low, self.high, self.evaluate)

    @cached_property
    def buckets(self) -> Buckets | None:
        """The same where a line in each of many buckets is the curve."""
        x = self.table.arrays[0]
        knots = np.array([self.low, *x[(x > self.low) & (x < self.high)], self.high])
        return (
            Buckets.of(knots, self.evaluate)
            if -math.inf < self.low < self.high < math.inf
            else None
        )

    @cached_property
    def _tables(self) -> dict[tuple[np.dtype[Any], np.dtype[Any]], NDArray[Any]]:
        return {}

    def _as_float32(self, dtype: np.dtype[Any]) -> bool:
        if dtype.kind in "iu":
            return max(abs(self.low), abs(self.high)) <= _FLOAT32_WHOLE
        return dtype in (np.float32, np.float16)


Pointwise = ClipAffine | Curve


def curve(table: Table, *, hold: bool = True) -> Curve:
    """A table as a step of a chain; with ``hold`` values beyond its ends become those of its ends."""
    return Curve(table, table.x[0], table.x[-1]) if hold else Curve(table)


def compose(first: Pointwise, following: Pointwise) -> Pointwise:
    """Two steps as one: ``compose(f, g)(x) = g(f(x))``."""
    if isinstance(first, ClipAffine) and isinstance(following, ClipAffine):
        return first.then(following)
    if first.scale == 0 or following.scale == 0:
        return ClipAffine(scale=0.0, offset=following(first(0.0)))
    low, high = _interval(first, following)
    if low > high or math.inf in (low, -high):  # the second interval is out of the first's reach
        inside = min(max(0.0, first.low), first.high)
        return ClipAffine(scale=0.0, offset=following(first(inside)))
    xs = _knots(first, following, low, high)
    sign = math.copysign(1.0, first.scale)
    ys = [sign * _unscaled(following, first(x)) for x in xs]
    scale = following.scale * sign
    return _simplest(xs, ys, ClipAffine(low, high, scale, following.offset))


def _unscaled(step: Pointwise, value: float) -> float:
    """What a step makes of a number before its line."""
    value = min(max(value, step.low), step.high)
    return step.table(value) if isinstance(step, Curve) else value


def _interval(first: Pointwise, following: Pointwise) -> tuple[float, float]:
    """The values that neither clips, in the units of the first."""
    ends = [_pulled_back(first, end) for end in (following.low, following.high)]
    low, high = ends if first.scale > 0 else ends[::-1]
    return max(first.low, low), min(first.high, high)


def _pulled_back(step: Pointwise, value: float) -> float:
    if math.isinf(value):
        return math.copysign(math.inf, value * step.scale)
    inner = (value - step.offset) / step.scale
    return step.table.inverse(inner) if isinstance(step, Curve) else inner


def _knots(first: Pointwise, following: Pointwise, low: float, high: float) -> list[float]:
    """Where the composition bends, and on either side an end, or the nearest place beyond that is known."""
    rows = [list(first.table.x) if isinstance(first, Curve) else []]
    if isinstance(following, Curve):
        rows.append(sorted(_pulled_back(first, x) for x in following.table.x))
    known, bends = {x for row in rows for x in row}, {x for row in rows for x in row[1:-1]}
    inner = sorted(bend for bend in bends if low < bend < high and math.isfinite(bend))
    ends = inner or [next((end for end in (low, high) if math.isfinite(end)), 0.0)]
    step = max(ends[-1] - ends[0], 1e-3 * abs(ends[0]), 1.0)
    beyond = [x for x in known if low < x < high and math.isfinite(x)]
    start, stop = low, high
    if not math.isfinite(start):
        start = max((x for x in beyond if x < ends[0]), default=ends[0] - step)
    if not math.isfinite(stop):
        stop = min((x for x in beyond if x > ends[-1]), default=ends[-1] + step)
    return [start, *inner, stop] if start < stop else [start]


def _simplest(xs: Sequence[float], ys: Sequence[float], rest: ClipAffine) -> Pointwise:
    """The curve through some points, then a line; a ``ClipAffine`` where that says it."""
    if ys[0] == ys[-1]:
        return ClipAffine(scale=0.0, offset=ys[0] * rest.scale + rest.offset)
    if len(xs) == 2:
        slope = (ys[1] - ys[0]) / (xs[1] - xs[0])
        offset = (ys[0] - xs[0] * slope) * rest.scale + rest.offset
        return ClipAffine(rest.low, rest.high, slope * rest.scale, offset)
    ascending = np.maximum.accumulate(ys).tolist()  # rounding may have turned neighbours round
    return Curve(Table(tuple(xs), tuple(ascending)), rest.low, rest.high, rest.scale, rest.offset)
