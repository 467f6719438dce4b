"""An array cut in pieces of bounded size along its memory order, for passes that read every voxel once."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

_VOXELS = 1 << 18


class Pieces:
    """The voxels of an array (where ``mask`` is not zero), a bounded number at a time.

    The cut depends on shape and strides only. ``pieces[k]`` is one-dimensional; it is made when asked
    for, so that threads share the work and few pieces exist at once.
    """

    def __init__(self, array: NDArray[Any], mask: NDArray[Any] | None = None) -> None:
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        self._array = array.transpose(order)
        self._mask = None if mask is None else mask.transpose(order)
        self._parts = _cut(self._array.shape)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, k: int) -> NDArray[Any]:
        part = self._array[self._parts[k]]
        if self._mask is None:
            return part.reshape(-1)
        return part[self._mask[self._parts[k]] != 0]


def _cut(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Index tuples that cover the shape, each of about 2¹⁸ voxels: runs of slices, or of rows of one."""
    if not shape or math.prod(shape) == 0:
        return [()] if math.prod(shape) else []
    inner = math.prod(shape[1:])
    if inner > 2 * _VOXELS and len(shape) > 1:
        below = _cut(shape[1:])
        return [(slice(k, k + 1), *part) for k in range(shape[0]) for part in below]
    step = max(1, _VOXELS // inner)
    return [(slice(k, k + step),) for k in range(0, shape[0], step)]
