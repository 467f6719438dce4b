"""Masks: volumes of booleans that say which voxels count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.gather import memory_order

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
"""A mask with eight voxels of a row in a byte, the first in the lowest bit; rows end with an empty bit."""

_MIRRORED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)).reshape(256, 8)[:, ::-1])


def hits(array: NDArray[Any], above: float | None) -> Mask:
    """Where finite voxels are above a number; None: where they differ from zero."""
    found = np.asarray(array != 0 if above is None else array > above)
    if array.dtype.kind == "f":
        found &= np.isfinite(array)
    return found


def find_mask(arrays: Sequence[NDArray[Any]], above: float | None = None) -> Mask:
    """Where voxels differ from zero, or are above a number, in any of the arrays (of one shape).

    NaN and ±Inf are neither.
    """
    first, *others = arrays
    found = hits(first, above)
    for array in others:
        found |= hits(array, above)
    return found


def fill_holes(mask: Mask) -> Mask:
    """The mask with its holes filled: whatever no path of voxels that share faces joins to the rim.

    This is ``scipy.ndimage.binary_fill_holes``. The outside is flooded from the rim, round by round, to
    and fro along each axis, each time as far as there is room.
    """
    order = memory_order(mask)
    room = _pack(~mask.transpose(order))
    reached = _pack(_rim(mask.transpose(order).shape)) & room
    before = np.zeros_like(reached)
    while not np.array_equal(before, reached):
        before = reached.copy()
        for step in (1, -1):
            _flood_planes(reached[::step], room[::step])
            _flood_planes(reached.swapaxes(0, 1)[::step], room.swapaxes(0, 1)[::step])
        reached = _flood_rows(reached, room)
        reached = _mirror(_flood_rows(_mirror(reached), _mirror(room)))
    filled = np.empty_like(mask)
    outside = np.unpackbits(reached, axis=2, count=filled.shape[order[2]], bitorder="little")
    np.equal(outside, 0, out=filled.transpose(order))
    return filled


def _rim(shape: tuple[int, ...]) -> Mask:
    rim = np.ones(shape, np.bool_)
    rim[1:-1, 1:-1, 1:-1] = False
    return rim


def _pack(mask: Mask) -> Bits:
    return np.packbits(np.pad(mask, [(0, 0), (0, 0), (0, 1)]), axis=2, bitorder="little")


def _mirror(bits: Bits) -> Bits:
    """All voxels in reverse order; the empty bit then comes before each row, which serves as well."""
    return _MIRRORED[bits[::-1, ::-1, ::-1]]


def _flood_planes(reached: Bits, room: Bits) -> None:
    """Carry what is reached from each plane into the next, where there is room."""
    for k in range(1, len(reached)):
        reached[k] |= reached[k - 1] & room[k]


def _flood_rows(reached: Bits, room: Bits) -> Bits:
    """Carry what is reached along each row, where there is room.

    All rows are one binary number. Adding what is reached to the room turns the room's ones into zeros
    from the first reached bit of a run to the run's end, as a carry does; the empty bit stops it.
    """
    start, space = (int.from_bytes(bits.tobytes(), "little") for bits in (reached, room))
    flooded = space & (~(start + space) | start)
    return np.frombuffer(bytearray(flooded.to_bytes(room.nbytes, "little")), np.uint8).reshape(
        room.shape
    )
