"""Which of ascending numbers is the last that is not above another: for many float32 numbers at once.

The bits of a positive float ascend with it. Cut off after their first few, they lead to the place at which
such numbers begin; where one of the ascending numbers lies among them, the next place may be it. So a number
costs the same whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.radix import float32_of_keys, ordered_keys

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_SMALLEST = (
    2.0**-32
)  # of the whole range: what is nearer to the first number is in the first bucket
_BITS = range(4, 13)  # of a float's fraction that buckets tell apart
_FRACTION = 23  # bits of a float32's
_MOST_HOPS = 8


@dataclass(frozen=True, eq=False)
class Places:
    """Ascending float32 numbers and buckets that lead to them.

    Attributes:
        x: The numbers.
        following: Of each, the next one; infinite for the last.
        starts: The place at the beginning of each bucket.
        base, shift: Number ``v`` is in bucket ``(bits(v - x[0]) >> shift) - base``, or in the first or last.
        hops: The most of the numbers in a bucket.
    """

    x: Floats
    following: Floats
    starts: NDArray[np.intp]
    base: int
    shift: int
    hops: int

    @classmethod
    def of(cls, x: Floats) -> Places:
        """Of ascending numbers, with as few buckets as lead to one hop."""
        following = np.append(x[1:], np.float32(np.inf))
        if len(x) == 1:
            return cls(x, following, np.zeros(1, np.intp), 0, _FRACTION, 0)
        with np.errstate(over="ignore"):  # what is infinitely far is in the last bucket
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
        return cls(x, following, starts.astype(np.intp), base, shift, hops)

    def find(self, values: Floats) -> NDArray[np.intp]:
        """The place of each number, 0 below the first; any one for NaN."""
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


def first_reaching(
    results: Doubles, low: float, high: float, evaluate: Callable[[Doubles], Doubles]
) -> Floats:
    """The smallest float32 from ``low`` to ``high`` of which an ascending function is not below each result.

    Above ``high`` where none is.
    """
    ends = ordered_keys(np.array([low, high], np.float32)).astype(np.int64)
    least, beyond = (np.full(len(results), end) for end in (ends[0], ends[1] + 1))
    while (least < beyond).any():
        middle = (least + beyond) // 2
        reached = evaluate(float32_of_keys(middle)) >= results
        beyond = np.where(reached, middle, beyond)
        least = np.where(reached, least, np.minimum(middle + 1, beyond))
    return float32_of_keys(beyond).astype(np.float32)
