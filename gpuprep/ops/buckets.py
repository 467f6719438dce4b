"""A curve at many float32 numbers where one straight line for each of many buckets is the curve.

It is where its knots lie evenly, as those of an equalised histogram do, and where it is smooth, as powers and
logarithms are, whose buckets follow the bits of a float. The bucket is known without a comparison, so that
this takes half the time of ``segments``, which does the other curves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.pointwise import cast_to
from gpuprep.ops.segments import STEEPEST, pieces, rounded_down, rounded_up

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Division = tuple[Doubles, dict[str, Any]]  # the edges of buckets, and how a number's is found

_WITHIN = 6e-7  # of the range of the results: their tables have 2.5e-7 themselves
_MOST = 1 << 16
_STEEPEST = 4.0  # of a line: how far it may rise from the first number, in ranges of the results
_BITS = range(4, 12)  # of a float's fraction that buckets tell apart
_FRACTION = 23  # bits of a float32's
_PIECE = 1 << 15  # numbers at a time: what they need stays in a core's own cache


@dataclass(frozen=True, eq=False)
class Buckets:
    """Lines through ``(x, y)``, one for each bucket and one for the end of the last.

    Attributes:
        x: Of each bucket, the first number in it.
        slopes: Of each, the slope.
        y: Of each, the result at ``x``; where ``even`` is 0, that of its line at ``first``.
        first: Number ``v`` is in bucket
        even: ``(v - first) * even``; where this is 0, in bucket
        shift, base: ``(bits(v - first) >> shift) - base``, or in the first of them.

    Numbers are held within the first and the last ``x``.
    """

    x: Floats
    y: Floats
    slopes: Floats
    first: float
    even: float = 0.0
    shift: int = 0
    base: int = 0

    @classmethod
    def of(cls, knots: Doubles, evaluate: Callable[[Doubles], Doubles]) -> Buckets | None:
        """Of a curve that is flat beyond its outer knots; None where no such lines are the curve.

        Between two knots and edges either is straight: it suffices that they agree at the numbers beside.
        """
        beside = np.unique([rounded_down(knots), rounded_up(knots)]).astype(np.float64)
        if not beside[-1] - beside[0] <= STEEPEST:  # beyond float32, or infinite
            return None
        truth = evaluate(beside)
        most = _WITHIN * abs(truth[-1] - truth[0])
        for edges, place in (_evenly(knots), *_by_bits(knots)):
            x, y, slopes = _lines(edges, evaluate)
            k = np.searchsorted(x, beside, "right") - 1
            if abs(y[k] + (beside - x[k]) * slopes[k] - truth).max() > most:
                continue
            if "shift" in place:
                rise = (x - place["first"]) * slopes
                if abs(rise).max() > _STEEPEST * abs(truth[-1] - truth[0]):
                    break
                y -= rise
            single = x.astype(np.float32), y.astype(np.float32), slopes.astype(np.float32)
            return cls(*single, **place)
        return None

    def apply(self, array: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the results for numbers that float32 holds; NaN stays NaN. Any strides."""
        for part, target in pieces(array, out, _PIECE):
            self._apply(part.astype(np.float32, copy=False), target)

    def _apply(self, array: Floats, out: NDArray[Any]) -> None:
        values = np.clip(array, self.x[0], self.x[-1])
        if self.even:
            places = self._evenly(values)
            values -= self.x.take(places, mode="clip")
        else:
            values -= np.float32(self.first)
            places = self._by_bits(values)
        values *= self.slopes.take(places, mode="clip")
        values += self.y.take(places, mode="clip")
        cast_to(values, out)

    def _evenly(self, values: Floats) -> NDArray[np.intp]:
        above = np.subtract(values, self.first, dtype=np.float64)  # so that none is in the next one
        above *= self.even
        with np.errstate(invalid="ignore"):
            return above.astype(np.intp)

    def _by_bits(self, above: Floats) -> NDArray[np.intp]:
        bits = above.view(np.int32) >> self.shift
        bits -= np.int32(self.base)
        np.maximum(bits, np.int32(0), out=bits)
        return bits.astype(np.intp)


def _lines(
    edges: Doubles, evaluate: Callable[[Doubles], Doubles]
) -> tuple[Doubles, Doubles, Doubles]:
    """Of each bucket: the first float32 in it, the result there, and the slope."""
    width, slopes = np.diff(edges), np.zeros_like(edges)
    np.divide(np.diff(evaluate(edges)), width, out=slopes[:-1], where=width > 0)
    x = rounded_up(edges).astype(np.float64)
    return x, evaluate(x), np.clip(slopes, -STEEPEST, STEEPEST)


def _evenly(knots: Doubles) -> Division:
    """A bucket for each segment, after one for what is held at the first knot."""
    segments = len(knots) - 1
    step = (knots[-1] - knots[0]) / segments
    edges = np.append(rounded_down(knots[0]), np.linspace(knots[0], knots[-1], segments + 1))
    return edges, {"first": knots[0] - step, "even": 1 / step}


def _by_bits(knots: Doubles) -> Iterator[Division]:
    """Buckets as floats lie: each twice as wide as one of half the distance; more and more of them."""
    first, end = rounded_down(knots[0]), rounded_up(knots[-1])
    width, gap, nearest = float(end) - float(first), knots[1] - knots[0], abs(np.spacing(first))
    smallest = gap if first == knots[0] and gap >= nearest else nearest / 2
    ends = [int(each) for each in np.array([smallest, width], np.float32).view(np.int32)]
    for kept in _BITS:
        shift = _FRACTION - kept
        base, last = (each >> shift for each in ends)
        if last - base > _MOST:
            return
        inner = np.arange(base + 1, last + 1, dtype=np.int32) << shift
        above = inner.view(np.float32).astype(np.float64)
        edges = float(first) + np.concatenate(([0.0], above[above < width], [width]))
        yield (
            rounded_up(edges).astype(np.float64),
            {"first": float(first), "shift": shift, "base": base},
        )
