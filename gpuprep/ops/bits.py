"""Rounding floating voxels to fewer bits of their fraction, so that what is left compresses better.

The low bits of a scan are noise, and noise is most of what a codec stores. Rounded bits are 0, the dtype
stays, and every reader reads the voxels as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.parallel import open_threads

Array = NDArray[Any]

_DIGITS = 6  # of the mean error, whose last ones depend on the order of voxels


@dataclass(frozen=True, slots=True)
class RoundingError:
    """How far rounding moved voxels, in units of the voxels."""

    largest: float
    rms: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def fraction_bits(dtype: np.dtype[Any]) -> int:
    """Stored bits of the fraction: 10 of float16, 23 of float32."""
    return int(np.finfo(dtype).nmant)


def rounded_bits(values: Array, keep: int) -> Array:
    """Values with ``keep`` bits of their fraction, a half going to the even one.

    A value next to the largest of the dtype may become infinite; see ``largest_kept``.

    >>> rounded_bits(np.array([1.0, 1.09, 1.13, -3.3], np.float16), 2).tolist()
    [1.0, 1.0, 1.25, -3.5]
    """
    drop = fraction_bits(values.dtype) - keep
    if drop <= 0:
        return values.copy()
    bits = values.view(f"u{values.dtype.itemsize}")
    one = bits.dtype.type(1)
    half = bits.dtype.type((1 << (drop - 1)) - 1)
    rounded = bits + (((bits >> bits.dtype.type(drop)) & one) + half)
    rounded &= bits.dtype.type(np.iinfo(bits.dtype).max >> drop << drop)
    return rounded.view(values.dtype)


def largest_kept(dtype: np.dtype[Any], keep: int) -> float:
    """The largest finite number of a dtype with ``keep`` bits of its fraction."""
    return math.ldexp(2.0 - math.ldexp(1.0, -keep), int(np.finfo(dtype).maxexp) - 1)


def round_in_place(array: Array, keep: int, count: int, threads: int = 1) -> RoundingError:
    """Round a floating array of any strides, and measure what that does to its ``count`` voxels.

    The array may hold zeros beside its voxels. ``threads`` changes no result.
    """
    flat = array.ndim > 2 and array.flags.c_contiguous
    planes = array.reshape(-1, *array.shape[-2:]) if flat else array

    def work(piece: Array) -> tuple[float, float]:
        before = np.ascontiguousarray(piece)
        after = rounded_bits(before, keep)
        moved = (after.astype(np.float64) - before).reshape(-1)
        piece[...] = after
        return float(np.abs(moved).max(initial=0.0)), float(np.vdot(moved, moved))

    with open_threads(threads) as pool:
        found = pool.map(work, planes)
    rms = math.sqrt(math.fsum(square for _, square in found) / max(count, 1))
    return RoundingError(max((most for most, _ in found), default=0.0), _short(rms))


def worst(errors: Sequence[RoundingError]) -> RoundingError:
    """The largest numbers of several."""
    return RoundingError(max(error.largest for error in errors), max(error.rms for error in errors))


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
