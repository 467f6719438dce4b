"""A curve of straight segments at many float32 numbers: the segment is found by a number's bits.

The bits of a positive float ascend with it. Cut off after their first few, they lead to the segment in which
such numbers begin; where a knot lies among them, the next one may be it. So a number costs the same whatever
the knots are, and is worked out from the nearest knot below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.pointwise import cast_to

Floats = NDArray[np.float32]

_PIECE = 1 << 15  # numbers at a time: what they need stays in a core's own cache
_SMALLEST = 2.0**-32  # of the whole range: what is nearer to the first knot is in the first bucket
_BITS = range(4, 13)  # of a float's fraction that buckets tell apart
_FRACTION = 23  # bits of a float32's
_MOST_HOPS = 8
STEEPEST = float(np.finfo(np.float32).max)  # between neighbours that only float64 tells apart


@dataclass(frozen=True, eq=False)
class Segments:
    """Straight segments, each from its knot to the next; the outer two go on.

    Attributes:
        ends: What numbers are held in.
        x, y, slopes: Of each segment: its knot, the result there, and its slope.
        following: The knot of the next segment; infinite for the last.
        starts: The segment at the beginning of each bucket.
        base, shift: Number ``v`` is in bucket ``(bits(v - x[0]) >> shift) - base``, or in the first or last.
        hops: The most knots in a bucket.
    """

    ends: tuple[np.float32, np.float32]
    x: Floats
    y: Floats
    slopes: Floats
    following: Floats
    starts: NDArray[np.intp]
    base: int
    shift: int
    hops: int

    @classmethod
    def of(
        cls,
        x: Sequence[float],
        low: float,
        high: float,
        evaluate: Callable[[NDArray[Any]], NDArray[np.float64]],
    ) -> Segments:
        """Of a curve with the given knots and clip; ``evaluate`` is the curve in float64."""
        inside = [knot for knot in x if low < knot < high]
        finite = [end for end in (low, high) if np.isfinite(end)]
        knots = np.unique(np.array([*inside, *finite], np.float64))
        if len(knots) == 1:  # beyond its outermost bend a curve is straight
            knots = knots[0] + np.array([-1.0, 0.0] if low < knots[0] == high else [0.0, 1.0])
        slopes = np.clip(np.diff(evaluate(knots)) / np.diff(knots), -STEEPEST, STEEPEST)
        begins = rounded_up(knots[:-1])
        ends = rounded_down(low), rounded_up(high)
        if (
            -np.inf < float(ends[0]) < low
        ):  # what is held has the end's own result, however steep it is there
            begins, slopes = np.append(ends[0], begins), np.append(0.0, slopes)
        if high < float(ends[1]) < np.inf:
            begins, slopes = np.append(begins, ends[1]), np.append(slopes, 0.0)
        last = np.append(
            begins[1:] != begins[:-1], True
        )  # of segments without a float32 nothing is left
        begins, slopes = begins[last], slopes[last]
        y = evaluate(begins.astype(np.float64)).astype(np.float32)
        following = np.append(begins[1:], np.float32(np.inf))
        return cls(ends, begins, y, slopes.astype(np.float32), following, *_buckets(begins))

    def apply(self, array: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the results for numbers that float32 holds; NaN stays NaN. Any strides."""
        for part, target in pieces(array, out, _PIECE):
            self._apply(part, target)

    def _apply(self, array: NDArray[Any], out: NDArray[Any]) -> None:
        values = np.clip(array.astype(np.float32, copy=False), *self.ends)
        places = self.find(values)
        taken = self.x.take(places, mode="wrap")
        np.subtract(values, taken, out=values)
        values *= np.take(self.slopes, places, out=taken, mode="wrap")
        values += np.take(self.y, places, out=taken, mode="wrap")
        cast_to(values, out)

    def find(self, values: Floats) -> NDArray[np.intp]:
        """The segment of each number; any one for NaN."""
        if self.hops > _MOST_HOPS:
            return np.maximum(np.searchsorted(self.x, values, "right") - 1, 0)
        with np.errstate(invalid="ignore", over="ignore"):
            above = np.subtract(values, self.x[0])
            np.maximum(above, np.float32(0), out=above)
        bits = above.view(np.int32)
        bits >>= self.shift
        bits -= np.int32(self.base)
        np.clip(bits, 0, len(self.starts) - 1, out=bits)
        places = self.starts.take(bits, mode="wrap")
        for _ in range(self.hops):
            places += values >= self.following.take(places, mode="wrap")
        return places


def pieces(
    array: NDArray[Any], out: NDArray[Any], size: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Views of parts of two arrays of one shape, of about so many numbers each, or single rows."""
    if array.ndim < 2 or array.size <= size:
        if array.size:
            yield array, out
        return
    step = size * len(array) // array.size
    if not step:
        for part, target in zip(array, out, strict=True):
            yield from pieces(part, target, size)
        return
    for k in range(0, len(array), step):
        yield array[k : k + step], out[k : k + step]


def _buckets(x: Floats) -> tuple[NDArray[np.intp], int, int, int]:
    """The buckets of some knots: where each starts, base, shift and hops; as few as lead to one hop."""
    if len(x) == 1:
        return np.zeros(1, np.intp), 0, _FRACTION, 0
    above = np.subtract(x, x[0])
    bits = above.view(np.int32).astype(np.int64)
    smallest = np.array(above[-1] * np.float32(_SMALLEST)).view(np.int32)
    for kept in _BITS:
        shift = _FRACTION - kept
        base = int(smallest) >> shift
        own = np.maximum((bits >> shift) - base, 0)
        hops = int(np.bincount(own[1:]).max())
        if hops == 1:
            break
    starts = np.searchsorted(own[1:], np.arange(int(own[-1]) + 2), "left")
    return starts.astype(np.intp), base, shift, hops


def rounded_down(numbers: Any) -> Any:
    """The largest float32 that are not above some numbers."""
    return -rounded_up(-numbers)


def rounded_up(numbers: Any) -> Any:
    """The smallest float32 that are not below some numbers."""
    numbers = np.asarray(numbers, np.float64)
    with np.errstate(over="ignore"):  # beyond float32's reach there are its infinities
        near = numbers.astype(np.float32)
    return np.where(near < numbers, np.nextafter(near, np.float32(np.inf)), near)
