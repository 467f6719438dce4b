"""Memory for voxels with room before it, so that what a file holds before its voxels can be decoded there.

A stream that is decoded at once comes out in one piece, header first. With room before the voxels the
piece is put where its voxels belong, and nothing is copied.
"""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITK_BYTES = 320 << 20
"""Addresses that the code of SimpleITK takes once a file needs it; no memory, and no file's."""
ROOM = mmap.ALLOCATIONGRANULARITY
"""Bytes; voxels behind it begin where a mapping may begin."""


def bytes_with_room(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """What voxels of a shape and dtype take together with the room before them."""
    return ROOM + math.prod(shape) * dtype.itemsize


def behind_room(
    whole: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The C-ordered array that begins ``ROOM`` bytes into ``whole`` and ends with it."""
    return whole[ROOM:].view(dtype).reshape(shape)


def room_before(voxels: NDArray[Any]) -> int:
    """Bytes before an array that are its own: ``ROOM`` for those of ``behind_room``, else 0."""
    whole = voxels.base
    if not isinstance(whole, np.ndarray) or whole.dtype != np.uint8 or whole.ndim != 1:
        return 0
    is_behind = voxels.ctypes.data - whole.ctypes.data == ROOM
    return ROOM if is_behind and whole.nbytes == ROOM + voxels.nbytes else 0
