"""What stored pixels mean: by the rescale line or the table of their slice, mirrored where that is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.voxels import KEPT, fitting

Plane = NDArray[Any]

_LARGEST = 2**30  # a slope with which pixels of 32 bits are still exact in int64


def voxels_of(stored: Plane, one: Slice, *, mirrored: bool = False) -> Plane:
    """The values of stored pixels of a slice: int16 or int32 where a line gives whole numbers, else float32.

    Without a line and a table they keep their dtype; those of a table have that of its entries. Where they
    are ``mirrored``, the lowest and the highest number that the declared bits hold change places.
    """
    if one.table is not None:
        values = one.table.of(stored)
        return _mirrored(values, 0, (1 << one.table.bits) - 1) if mirrored else values
    if mirrored:
        low = -(1 << (one.bits_stored - 1)) if one.signed else 0
        stored = _mirrored(stored, low, low + (1 << one.bits_stored) - 1)
    return narrow(_rescaled(stored, one.line))


def stored_again(values: Plane, line: tuple[float, float]) -> Plane:
    """What a decoder had before it applied a line: exact, as stored pixels are whole numbers."""
    if line == (1.0, 0.0):
        return values
    slope, intercept = line
    return np.rint((values.astype(np.float64) - intercept) / slope).astype(np.int64)


def padding_of(one: Slice, *, mirrored: bool = False) -> tuple[float, float] | None:
    """The lowest and highest value of padding voxels; None where none is declared."""
    if one.padding is None:
        return None
    low, high = one.padding
    if one.table is None:
        ends = voxels_of(np.array([low, high], np.int64), one, mirrored=mirrored)
    else:
        table = one.table  # beyond its ends, meanings are those of the ends
        first, last = table.first, table.first + len(table.meanings) - 1
        held = np.arange(min(max(low, first), last), min(max(high, first), last) + 1)
        ends = voxels_of(held, one, mirrored=mirrored)
    return float(ends.min()), float(ends.max())


def _mirrored(values: Plane, low: int, high: int) -> Plane:
    turned = low + high - values.astype(np.int64)
    kept = np.iinfo(values.dtype)
    fits = kept.min <= turned.min() and turned.max() <= kept.max
    return turned.astype(values.dtype) if fits else turned


def gives_whole_numbers(line: tuple[float, float]) -> bool:
    """Whether a line gives whole numbers that are exact in int64; of larger ones float32 is taken."""
    return all(number.is_integer() and abs(number) < _LARGEST for number in line)


def _rescaled(stored: Plane, line: tuple[float, float]) -> Plane:
    slope, intercept = line
    if line == (1.0, 0.0):
        return stored
    if gives_whole_numbers(line):
        return np.asarray(stored.astype(np.int64) * int(slope) + int(intercept))
    with np.errstate(over="ignore"):  # infinite voxels are reported
        return np.asarray(stored * slope + intercept)


def narrow(plane: Plane) -> Plane:
    """Whole numbers that rescaling widened as int16 or int32 where they fit; others as float32."""
    if plane.dtype.kind != "f" and plane.dtype.itemsize <= 2:
        return plane
    if plane.dtype.kind != "f":
        dtype = fitting(int(plane.min()), int(plane.max()), "i2", "i4")
        if dtype.kind != "f":
            return plane.astype(dtype)
    with np.errstate(over="ignore"):  # infinite voxels are reported
        return plane if plane.dtype in KEPT else plane.astype(np.float32)
