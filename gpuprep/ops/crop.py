"""Boxes around what matters in a volume, as slices in ``z, y, x``; None where nothing does.

Boxes are found without a boolean copy of the volume: slices are looked at one by one in memory order,
and of each slice only what lies outside the box so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.mask import hits
from gpuprep.values.geometry import Box, Shape

Array = NDArray[Any]


def find_box(
    arrays: Sequence[Array], above: float | None = None, fraction: float = 0.0
) -> Box | None:
    """The box of the voxels that differ from zero, or are above a number, in any array (of one shape).

    NaN and ±Inf are neither: a voxel counts if it is finite in that array.

    With a ``fraction``, the box of a body: along each axis it runs from the first to the last plane that
    holds at least that fraction of the fullest plane's voxels. Single bright voxels (noise, wires, edges
    of the table) then do not stretch it; the body's own tapering ends may lose planes below that fraction,
    so grow the box by a margin. For CT, -300 HU separates skin from air.

    Different from zero without a fraction is nnU-Net's ``crop_to_nonzero``; it fills holes first, which
    cannot move a tight box.
    """
    if fraction:
        return box_of_counts(_count_planes(arrays, above), fraction)
    if above is None:
        return _union(tight_box(array) for array in arrays)
    return _union([tight_box(array, lambda part: hits(part, above)) for array in arrays])


def _count_planes(arrays: Sequence[Array], above: float | None) -> list[NDArray[np.int64]]:
    """Per axis ``z, y, x`` how many voxels of each plane count, over all arrays together."""
    counts = [np.zeros(length, np.int64) for length in arrays[0].shape]
    for array in arrays:
        for z, plane in enumerate(array):
            found = hits(plane, above).view(np.uint8)
            if found.any():
                counts[1] += found.sum(1, dtype=np.int64)
                across = found.sum(0, dtype=np.int64)
                counts[2] += across
                counts[0][z] += across.sum()
    return counts


def box_of_counts(counts: Sequence[NDArray[np.int64]], minimum_fraction: float = 0.0) -> Box | None:
    """Per axis from the first to the last plane that holds at least a fraction of the fullest's voxels.

    ``counts`` are voxels per plane along z, y, x; None with no voxels, or no such plane.
    """
    edges = []
    for count in counts:
        enough = np.flatnonzero((count > 0) & (count >= minimum_fraction * count.max()))
        if not len(enough):
            return None
        edges.append(slice(int(enough[0]), int(enough[-1]) + 1))
    return edges[0], edges[1], edges[2]


def grow(box: Box, margin_voxels: int | Sequence[int], shape: Shape) -> Box:
    """The box with a margin on both sides (one number, or three for ``z, y, x``), inside the shape."""
    margins = [margin_voxels] * 3 if isinstance(margin_voxels, int) else margin_voxels
    z, y, x = (
        slice(max(0, part.start - margin), min(length, part.stop + margin))
        for part, margin, length in zip(box, margins, shape, strict=True)
    )
    return z, y, x


def _differs(part: Array) -> Array:
    return hits(part, None)


def tight_box(array: Array, hit: Callable[[Array], Array] = _differs) -> Box | None:
    """The smallest box that holds every voxel for which ``hit`` is true; None where there is none.

    Without ``hit`` it is that of the finite voxels that differ from zero.
    """
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    planes = array.transpose(order)
    first = _first(planes, range(len(planes)), hit)
    if first is None:
        return None
    last = _first(planes, range(len(planes) - 1, -1, -1), hit)
    assert last is not None
    if hit is _differs and array.dtype.kind in "iub":  # one walk through memory, and little beside
        union = np.bitwise_or.reduce(planes[first : last + 1], axis=0)
        rows, columns = (_ends(union.any(axis)) for axis in (1, 0))
        return _ordered(order, (first, last + 1), rows, columns)
    row, column = (int(index[0]) for index in np.nonzero(hit(planes[first])))
    rows, columns = (row, row + 1), (column, column + 1)
    for plane in planes[first : last + 1]:
        rows = _widen(rows, plane, hit)
        columns = _widen(columns, plane.T, hit)
    return _ordered(order, (first, last + 1), rows, columns)


def _ordered(order: Sequence[int], *ends: tuple[int, int]) -> Box:
    """The box of the ends along the axes of ``order``."""
    found = dict(zip(order, ends, strict=True))
    return slice(*found[0]), slice(*found[1]), slice(*found[2])


def _ends(hit: Array) -> tuple[int, int]:
    """From the first hit of a line to one beyond the last."""
    places = np.flatnonzero(hit)
    return int(places[0]), int(places[-1]) + 1


def _first(planes: Array, indices: Iterable[int], hit: Callable[[Array], Array]) -> int | None:
    return next((k for k in indices if hit(planes[k]).any()), None)


def _widen(bounds: tuple[int, int], plane: Array, hit: Callable[[Array], Array]) -> tuple[int, int]:
    """The bounds along the plane's rows, stretched to the hits outside them."""
    low, high = bounds
    before = hit(plane[:low]).any(1)
    if before.any():
        low = int(before.argmax())
    beyond = np.flatnonzero(hit(plane[high:]).any(1))
    return low, high + int(beyond[-1]) + 1 if len(beyond) else high


def _union(boxes: Iterable[Box | None]) -> Box | None:
    """The box around several; None where there are none."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    z, y, x = (
        slice(min(part.start for part in parts), max(part.stop for part in parts))
        for parts in zip(*found, strict=True)
    )
    return z, y, x
