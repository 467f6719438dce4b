"""Where a patch may lie, and reading one that reaches over the border of its array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.array import StoredArray
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError
from gpuprep.values.exact import exactly

Position = tuple[int, int, int]


def place_within(start: NDArray[Any], shape: Position, patch: Position) -> Position:
    """The allowed start nearest to ``start``, ``z, y, x``.

    A patch stays inside its volume; along an axis where it is the longer one, the volume lies in its middle
    (the smaller half of the padding before it).
    """
    missing = np.maximum(np.subtract(patch, shape), 0)
    lowest = -(missing // 2)
    highest = np.subtract(shape, patch) + missing - missing // 2
    z, y, x = np.clip(start, lowest, highest).tolist()
    return z, y, x


def align(start: Position, shape: Position, patch: Position, chunk: Position) -> Position:
    """The start at the nearest chunk border along every axis, or the last one that keeps the patch inside."""
    steps = np.asarray(chunk)
    last = np.maximum(np.subtract(shape, patch), 0) // steps * steps
    nearest = np.minimum((np.asarray(start) + steps // 2) // steps * steps, last)
    z, y, x = np.where(np.greater(patch, shape), start, nearest).tolist()
    return z, y, x


def find_label(case: StoredCase, name: str) -> StoredArray:
    """A label map of a case; raises UsageError where it has no such."""
    if name not in case.labels:
        raise UsageError(
            f"{case.path}: there is no label {name!r}, the case has {list(case.labels)}",
            advice="name a label all cases have, or filter the cases",
        )
    return case.labels[name]


def read_patch(
    array: StoredArray,
    start: Position,
    patch: Position,
    padding: float,
    dtype: np.dtype[Any] | None = None,
) -> NDArray[Any]:
    """The box of ``patch`` voxels from ``start``, with all channels; ``padding`` outside of the array.

    Returns:
        ``z, y, x`` or ``c, z, y, x``, in ``dtype``, by default the array's.

    Raises:
        UsageError: the padding is needed, and the dtype cannot hold it.
        CorruptStoreError: a file or chunk is missing or damaged.
    """
    lead = array.shape[:-3]
    low, high = part_inside(array, start, patch)
    inside = array.read([0] * len(lead) + low, [*lead, *high])
    dtype = array.dtype if dtype is None else dtype
    inside = exactly(inside, dtype, f"{array!r}")
    if inside.shape[-3:] == patch:
        return inside
    out = np.full((*lead, *patch), padding_of(array, padding, dtype), dtype)
    within = (slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))
    box: tuple[Any, ...] = (..., *within)
    out[box] = inside
    return out


def part_inside(
    array: StoredArray, start: Position, patch: Position
) -> tuple[list[int], list[int]]:
    """The part of a patch that lies in its array: first voxel, and the one behind the last, ``z, y, x``."""
    extent = array.shape[-3:]
    low = [min(max(s, 0), n) for s, n in zip(start, extent, strict=True)]
    high = [min(max(s + p, 0), n) for s, p, n in zip(start, patch, extent, strict=True)]
    return low, high


def padding_of(array: StoredArray, padding: float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """One number of a dtype; raises UsageError where that cannot hold the padding."""
    try:
        return np.full(1, padding, dtype)
    except OverflowError:
        raise UsageError(
            f"{array!r}: a padding of {padding} does not fit {dtype}",
            advice="choose a padding within the range of the dtype",
        ) from None
