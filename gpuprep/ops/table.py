"""Tables of knots: functions straight from point to point, which never descend."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.packed import pack, unpack

MOST_KNOTS = 1 << 17  # more than every value of 16 bits
_WRITTEN_OUT = 1024  # points that JSON has number by number; 40 kB of text


@dataclass(frozen=True)
class Table:
    """A function through the points ``(x, y)``, straight between them and straight on beyond the outer two.

    Attributes:
        x: at least two numbers, each larger than the one before.
        y: as many, none smaller than the one before.

    Raises ValueError where they are not that.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not 2 <= len(self.x) <= MOST_KNOTS:
            raise ValueError(f"a table of {len(self.x)} x and {len(self.y)} y")
        xs, ys = self.arrays
        if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
            raise ValueError("a table's numbers must be finite")
        if not (np.diff(xs) > 0).all():
            raise ValueError("a table's x must ascend")
        if not (np.diff(ys) >= 0).all():
            raise ValueError("a table's y must not descend")

    @classmethod
    def of(cls, x: Iterable[float], y: Iterable[float]) -> Table:
        """From points of which neighbours may have one x, in whose place the last of them counts."""
        points = dict(zip(map(float, x), map(float, y), strict=True))
        return cls(tuple(points), tuple(points.values()))

    def __call__(self, value: float) -> float:
        """The result for one number, which may be infinite."""
        k = min(max(bisect_right(self.x, value) - 1, 0), len(self.x) - 2)
        slope = self._slope(k)
        return self.y[k] + (value - self.x[k]) * slope if slope else self.y[k]

    def inverse(self, value: float) -> float:
        """A number that gives ``value``: the largest one; an infinity where none does."""
        k = min(max(bisect_right(self.y, value) - 1, 0), len(self.y) - 2)
        slope = self._slope(k)
        if slope:
            return self.x[k] + (value - self.y[k]) / slope
        if value == self.y[k] and k < len(self.y) - 2:
            return self.x[k + 1]
        return -math.inf if value < self.y[k] else math.inf

    def evaluate(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The results for many numbers, in float64."""
        xs, ys = self.arrays
        out = np.interp(values, xs, ys)
        for beyond, k in ((values < xs[0], 0), (values > xs[-1], len(xs) - 2)):
            if beyond.any():
                slope = self._slope(k)
                out[beyond] = ys[k] + (values[beyond] - xs[k]) * slope if slope else ys[k]
        return out

    def to_lists(self) -> dict[str, list[float]]:
        """The points, number by number."""
        return {"x": list(self.x), "y": list(self.y)}

    def to_json(self) -> dict[str, list[float]] | dict[str, str]:
        """The points, exactly: number by number, or packed where there are many."""
        if len(self.x) <= _WRITTEN_OUT:
            return self.to_lists()
        return {name: pack(row) for name, row in zip("xy", self.arrays, strict=True)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Sequence[float] | str]) -> Table:
        """What ``to_json`` gave, of any version; ValueError where it is damaged."""
        return cls(*(_row(fields[name]) for name in "xy"))

    @cached_property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``x`` and ``y`` as arrays."""
        return np.array(self.x, np.float64), np.array(self.y, np.float64)

    def _slope(self, k: int) -> float:
        return (self.y[k + 1] - self.y[k]) / (self.x[k + 1] - self.x[k])


def _row(told: Sequence[float] | str) -> tuple[float, ...]:
    if isinstance(told, str):
        return tuple(unpack(told, MOST_KNOTS).tolist())
    return tuple(map(float, told))
