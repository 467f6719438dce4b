"""Intensity steps as four numbers: ``clip(x, low, high) * scale + offset``.

Clip, window, rescale, z-score, zero-centring and a change of unit all have this form, and the form is
closed under composition: a chain of any length folds into one ``ClipAffine`` before anything runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.ops.half import write_half


@dataclass(frozen=True, slots=True)
class ClipAffine:
    """The function ``clip(x, low, high) * scale + offset`` of one voxel.

    Raises ValueError for NaN anywhere, ``low > high``, and a scale or offset that is not finite.
    """

    low: float = -math.inf
    high: float = math.inf
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not self.low <= self.high or self.low == math.inf or self.high == -math.inf:
            raise ValueError(f"clip interval [{self.low}, {self.high}] holds no number")
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(f"scale {self.scale} and offset {self.offset} must be finite")

    def __call__(self, value: float) -> float:
        """The result for one number, in float64."""
        if self.scale == 0:
            return self.offset
        return min(max(value, self.low), self.high) * self.scale + self.offset

    @property
    def identity(self) -> bool:
        return self == IDENTITY

    @property
    def clips(self) -> bool:
        """Whether either end of the interval is finite."""
        return self.low > -math.inf or self.high < math.inf

    def bounds(self, low: float = -math.inf, high: float = math.inf) -> tuple[float, float]:
        """The smallest and largest result for inputs in ``[low, high]``."""
        ends = self(low), self(high)
        return min(ends), max(ends)

    def then(self, following: ClipAffine) -> ClipAffine:
        """This step followed by another, as one: ``f.then(g)(x) = g(f(x))``.

        >>> unit = clip(-1000.0, 400.0).then(affine(scale=1 / 1400, offset=1000 / 1400))
        >>> unit(-2000.0), unit(-300.0), unit(400.0)
        (0.0, 0.5, 1.0)
        """
        if self.scale == 0 or following.scale == 0:
            return _constant(following(self(0.0)))
        ends = [(bound - self.offset) / self.scale for bound in (following.low, following.high)]
        low, high = max(self.low, min(ends)), min(self.high, max(ends))
        # the second interval is out of the first's reach
        if low > high or math.inf in (low, -high):
            return _constant(following(self(min(max(0.0, self.low), self.high))))
        scale = self.scale * following.scale
        return ClipAffine(low, high, scale, self.offset * following.scale + following.offset)

    def apply(
        self,
        array: NDArray[Any],
        dtype: DTypeLike = np.float32,
        out: NDArray[Any] | None = None,
        scratch: NDArray[np.float32] | None = None,
    ) -> NDArray[Any]:
        """The results for an array of any dtype and strides, as ``dtype`` (or in ``out``'s dtype).

        Arithmetic is float64 where either side is float64 or an integer wider than 16 bits, else float32
        arranged so that each result is within two units in the last place. Integer dtypes get the
        nearest integer (halves to even), held inside the dtype's range. ``scratch``, which may be
        ``array`` itself, is overwritten; it spares an allocation.
        """
        if out is None:
            out = np.empty(array.shape, dtype)
        if self.identity:
            return cast_to(array, out)
        if self.scale == 0:
            return cast_to(np.full((1,) * array.ndim, self.offset), out)
        if any(self._needs_float64(kind) for kind in (array.dtype, out.dtype)):
            return cast_to(self.evaluate(array), out)
        if out.dtype == np.float32 and out.flags.c_contiguous:
            scratch = out
        elif scratch is None:
            scratch = np.empty(array.shape, np.float32)
        values = self._float32(array, scratch)
        if out.dtype == np.float16:
            write_half(values, out, scratch, self.bounds() if self.clips else None)
            return out
        return cast_to(values, out, scratch)

    def in_integers(self, dtype: np.dtype[Any]) -> tuple[Any, Any, Any] | None:
        """Low, high and offset in an integer dtype of at most 16 bits: ``clip(x, low, high) + offset``.

        None where that is not this step, exactly: a scale, fractions, or results beyond the dtype. The
        offset is modulo 2ⁿ: the dtype may not hold it, and arrays of integers wrap.
        """
        if dtype.kind not in "iu" or dtype.itemsize > 2 or not self.clips or self.scale != 1:
            return None
        limits = np.iinfo(dtype)
        low, high = max(self.low, limits.min), min(self.high, limits.max)
        ends = (low, high, low + self.offset, high + self.offset)
        if low > high or any(end % 1 or not limits.min <= end <= limits.max for end in ends):
            return None
        offset = np.int64(self.offset).astype(dtype.type)
        return dtype.type(low), dtype.type(high), offset

    def _needs_float64(self, dtype: np.dtype[Any]) -> bool:
        """Whether float32 cannot hold every value of the dtype, or the scale."""
        if not 1e-30 < abs(self.scale) < 1e30:
            return True
        return dtype.itemsize > (2 if dtype.kind in "iu" else 4)

    def evaluate(self, array: NDArray[Any]) -> NDArray[np.float64]:
        """The results for many numbers, in float64."""
        if self.scale == 0:
            return np.full(array.shape, self.offset)
        values = array.astype(np.float64)
        if self.clips:
            np.clip(values, self.low, self.high, out=values)
        values *= self.scale
        values += self.offset
        return values

    def _float32(self, array: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """``(x - zero) * scale + rest``: the line through its own zero keeps small results exact.

        Clipping comes last, against the results' own bounds, so that these are met exactly.
        """
        zero = np.float32(max(-3e38, min(-self.offset / self.scale, 3e38)))
        rest = np.float32(float(zero) * self.scale + self.offset)
        if array.dtype != np.float32:
            np.copyto(out, array)
            array = out
        with np.errstate(over="ignore"):
            if zero:
                array = np.subtract(array, zero, out=out)
            if self.scale != 1:
                array = np.multiply(array, np.float32(self.scale), out=out)
            if rest:
                array = np.add(array, rest, out=out)
            if self.clips:
                low, high = (np.float32(bound) for bound in self.bounds())
                array = np.clip(array, low, high, out=out)  # six times as fast as maximum, minimum
        return array


IDENTITY = ClipAffine()


def clip(low: float = -math.inf, high: float = math.inf) -> ClipAffine:
    """Limit values to ``[low, high]``."""
    return ClipAffine(low, high)


def affine(scale: float = 1.0, offset: float = 0.0) -> ClipAffine:
    """``x * scale + offset``."""
    return ClipAffine(scale=scale, offset=offset)


def _constant(value: float) -> ClipAffine:
    return ClipAffine(scale=0.0, offset=value)


def cast_to(
    values: NDArray[Any], out: NDArray[Any], scratch: NDArray[np.float32] | None = None
) -> NDArray[Any]:
    """Write values in the dtype of ``out``; integers are rounded half to even and never wrap."""
    if values is out:
        return out
    if out.dtype == np.float16 and values.dtype == np.float32:
        write_half(values, out, scratch)
        return out
    if out.dtype.kind not in "iu" or np.can_cast(values.dtype, out.dtype):
        with np.errstate(over="ignore"):  # float16 and float32 overflow to infinity
            np.copyto(out, values, casting="unsafe")
        return out
    limits = np.iinfo(out.dtype)
    if values.dtype.kind in "iu":
        own = np.iinfo(values.dtype)
        inside = np.clip(values, max(own.min, limits.min), min(own.max, limits.max))
    else:
        inside = np.rint(values)
        np.clip(inside, *_exact_range(limits, values.dtype), out=inside)
    np.copyto(out, inside, casting="unsafe")
    return out


def _exact_range(limits: np.iinfo[Any], dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The integer range as floats of ``dtype`` that do not lie outside it."""
    kind = dtype.type
    low, high = kind(limits.min), kind(limits.max)
    return low, high if int(high) <= limits.max else np.nextafter(high, kind(0))
