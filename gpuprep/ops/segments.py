"""A curve of straight segments at many float32 numbers, each worked out from the nearest knot below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.places import Places
from gpuprep.ops.pointwise import cast_to

Floats = NDArray[np.float32]

_PIECE = 1 << 15  # numbers at a time: what they need stays in a core's own cache
STEEPEST = float(np.finfo(np.float32).max)  # between neighbours that only float64 tells apart


@dataclass(frozen=True, eq=False)
class Segments:
    """Straight segments, each from its knot to the next; the outer two go on.

    Attributes:
        ends: What numbers are held in.
        knots: Of each segment, where it begins.
        y, slopes: Of each, the result there, and its slope.
    """

    ends: tuple[np.float32, np.float32]
    knots: Places
    y: Floats
    slopes: Floats

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
        return cls(ends, Places.of(begins), y, slopes.astype(np.float32))

    def apply(self, array: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the results for numbers that float32 holds; NaN stays NaN. Any strides."""
        for part, target in pieces(array, out, _PIECE):
            self._apply(part, target)

    def _apply(self, array: NDArray[Any], out: NDArray[Any]) -> None:
        values = np.clip(array.astype(np.float32, copy=False), *self.ends)
        places = self.knots.find(values)
        taken = self.knots.x.take(places, mode="wrap")
        np.subtract(values, taken, out=values)
        values *= np.take(self.slopes, places, out=taken, mode="wrap")
        values += np.take(self.y, places, out=taken, mode="wrap")
        cast_to(values, out)


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


def rounded_down(numbers: Any) -> Any:
    """The largest float32 that are not above some numbers."""
    return -rounded_up(-numbers)


def rounded_up(numbers: Any) -> Any:
    """The smallest float32 that are not below some numbers."""
    numbers = np.asarray(numbers, np.float64)
    with np.errstate(over="ignore"):  # beyond float32's reach there are its infinities
        near = numbers.astype(np.float32)
    return np.where(near < numbers, np.nextafter(near, np.float32(np.inf)), near)
