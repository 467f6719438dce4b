"""NumPy's basic indexing (integers, slices, ``...``) as dense boxes, and boxes as pieces of a grid."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.layout import Index

Piece = tuple[int, slice, slice]


def cut_range(start: int, stop: int, edge: int) -> list[Piece]:
    """Cut ``start:stop`` at multiples of ``edge``: (piece, part of that piece, part of the whole)."""
    pieces = []
    for piece in range(start // edge, -(-stop // edge)):
        base = piece * edge
        low, high = max(start, base), min(stop, base + edge)
        pieces.append((piece, slice(low - base, high - base), slice(low - start, high - start)))
    return pieces


def rows_of(array: NDArray[Any], part: slice) -> NDArray[np.void]:
    """A part of the last axis as one item a row: NumPy copies such rows twice as fast as voxels.

    The rows are a view; the array must be contiguous along its last axis.
    """
    row = np.dtype((np.void, (part.stop - part.start) * array.itemsize))
    return array[..., part].view(row)[..., 0]


def plan_index(key: Any, shape: Index) -> tuple[list[int], list[int], tuple[Any, ...]]:
    """The dense box a basic index touches, and the index that picks the result out of that box."""
    starts: list[int] = []
    stops: list[int] = []
    within: list[slice | int] = []
    for part, n in zip(_expand(key, len(shape)), shape, strict=True):
        if isinstance(part, slice):
            steps = range(*part.indices(n))
            low, high = (min(steps), max(steps) + 1) if steps else (0, 0)
            within.append(slice(None, None, steps.step))
        else:
            low = _position(part, n)
            high = low + 1
            within.append(0)
        starts.append(low)
        stops.append(high)
    return starts, stops, tuple(within)


def _expand(key: Any, ndim: int) -> list[Any]:
    """An index with one entry per axis: ``...`` and absent axes become full slices."""
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    missing = ndim - len(parts) + len(dots)
    if missing < 0:
        raise IndexError(
            f"too many indices: the array has {ndim} axes, {ndim - missing} were indexed"
        )
    place = dots[0] if dots else len(parts)
    return parts[:place] + [slice(None)] * missing + parts[place + len(dots) :]


def _position(part: Any, n: int) -> int:
    if isinstance(part, (bool, np.bool_)):
        raise IndexError("a mask cannot index a stored array; use integers, slices and '...'")
    try:
        index = operator.index(part)
    except TypeError:
        raise IndexError(
            f"{part!r} cannot index a stored array; use integers, slices and '...'"
        ) from None
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of bounds for an axis of {n} voxels")
    return index % n
