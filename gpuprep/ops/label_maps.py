"""Label maps before resampling: brought to another grid, merged from structures, renumbered, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import axis_weights, snapped
from gpuprep.ops.crop import tight_box
from gpuprep.ops.statistics import label_counts
from gpuprep.values.geometry import Affine, Box, Shape
from gpuprep.values.grids import GridMapping

Array = NDArray[Any]

_DIGITS = 9  # of an index: what differs by less is one place


def place_labels(array: Array, mapping: GridMapping) -> Array:
    """Labels looked up on another grid with parallel axes, nearest voxel, 0 beyond the map's own extent.

    The extent of ``n`` voxels is ``[-½, n - ½)``.
    """
    out = np.zeros(mapping.shape, array.dtype)
    inside, picks = [], []
    rows = zip(array.shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    for n, m, step, start in rows:
        coordinates = snapped(m, step, start)
        inside.append(np.flatnonzero((coordinates >= -0.5) & (coordinates < n - 0.5)))
        table = axis_weights(n, m, step, start, "nearest").indices
        assert table is not None
        picks.append(table[inside[-1]])
    out[np.ix_(*inside)] = array[np.ix_(*picks)]
    return out


def place_labels_turned(array: Array, affine: Affine, shape: Shape) -> Array:
    """Labels looked up on a grid whose axes are not parallel, nearest voxel, 0 beyond the map's own extent.

    ``affine`` is 4×4, from indices ``z, y, x, 1`` of the grid of ``shape`` to those of ``array``. Halves
    go up, as in ITK.
    """
    out = np.zeros(shape, array.dtype)
    y, x = (np.arange(n, dtype=np.float64) for n in shape[1:])
    for z in range(shape[0]):
        inside = np.ones(shape[1:], np.bool_)
        indices = []
        for row, n in zip(affine[:3], array.shape, strict=True):
            places = (row[0] * z + row[3]) + row[1] * y[:, None] + row[2] * x[None, :]
            nearest = np.floor(np.round(places, _DIGITS) + 0.5)
            inside &= (nearest >= 0) & (nearest < n)
            indices.append(nearest)
        chosen = tuple(each[inside].astype(np.intp) for each in indices)
        out[z][inside] = array[chosen]
    return out


def covered(array: Array, affine: Affine, shape: Shape) -> dict[int, int]:
    """Voxels per label that lie inside another grid: their centres, within its ``[-½, n - ½)``.

    ``affine`` is 4×4, from indices ``z, y, x, 1`` of ``array`` to those of the grid of ``shape``; 0 is not
    counted.
    """
    box = tight_box(array)
    if box is None:
        return {}
    counts: dict[int, int] = {}
    offset = affine[:3, 3] + affine[:3, :3] @ [part.start for part in box]
    for z, plane in enumerate(array[box]):
        y, x = np.nonzero(plane)
        at = np.round(
            affine[:3, 0, None] * z
            + affine[:3, 1, None] * y
            + affine[:3, 2, None] * x
            + offset[:, None],
            _DIGITS,
        )
        ends = np.array(shape)[:, None] - 0.5
        inside = ((at >= -0.5) & (at < ends)).all(0)
        values, numbers = np.unique(plane[y[inside], x[inside]], return_counts=True)
        for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + number
    return dict(sorted(counts.items()))


def labelled(array: Array, box: Box | None = None) -> dict[int, int]:
    """Voxels per label but 0, in the whole map or in a box of it; what holds none costs little."""
    part = array if box is None else array[box]
    inner = tight_box(part) if part.size else None
    if inner is None:
        return {}
    counts = _of_one_value(part[inner]) or label_counts(part[inner])
    return {value: number for value, number in counts.items() if value}


def _of_one_value(array: Array) -> dict[int, int]:
    """The voxels of a mask, which has one value beside 0; empty for every other map."""
    value = int(array.max()) or int(array.min())
    number = int(np.count_nonzero(array))
    return {value: number} if np.count_nonzero(array == value) == number else {}


def renumber(array: Array, numbers: Mapping[int, int]) -> Array:
    """The map with some values replaced by others, all at once, in the smallest dtype that holds them.

    Values that ``numbers`` does not name stay.
    """
    if not numbers:
        return array
    known = label_counts(array)
    values = np.array(sorted(known), np.int64)
    wanted = np.array([numbers.get(value, value) for value in values.tolist()], np.int64)
    dtype = smallest_dtype(int(wanted.min()), int(wanted.max())) or np.dtype(np.int64)
    if values[0] >= 0 and values[-1] <= np.iinfo(np.uint16).max:
        table = np.zeros(int(values[-1]) + 1, dtype)
        table[values] = wanted
        return np.asarray(table[array])
    return np.asarray(wanted.astype(dtype)[np.searchsorted(values, array)])


def smallest_dtype(low: int, high: int) -> np.dtype[Any] | None:
    """The smallest of uint8, int16, uint16, int32 and uint32 that holds both; None where none does."""
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return None


def merge_structures(masks: Sequence[Array], values: Sequence[int]) -> tuple[Array, dict[int, int]]:
    """One label map from masks of one shape: each paints its value where it is not 0, the highest last.

    Returns:
        The map, and by value how many voxels it lost to higher ones.

    Raises:
        ValueError: no masks, or unequal shapes.
    """
    if not masks:
        raise ValueError("no masks to merge")
    dtype = smallest_dtype(0, max(values))
    merged = np.zeros(masks[0].shape, dtype)
    lost: dict[int, int] = {}
    for value, mask in sorted(zip(values, masks, strict=True), key=lambda pair: pair[0]):
        if mask.shape != merged.shape:
            raise ValueError(f"a mask has shape {mask.shape}, the first has {merged.shape}")
        box = tight_box(mask)
        if box is None:
            continue
        inside, painted = mask[box] != 0, merged[box]
        twice = inside & (painted != 0)
        if twice.any():
            for other, number in label_counts(painted[twice]).items():
                lost[other] = lost.get(other, 0) + number
        np.copyto(painted, merged.dtype.type(value), where=inside)
    return merged, dict(sorted(lost.items()))


def most_likely(maps: Sequence[Array], values: Sequence[int]) -> Array:
    """The value of the map with the largest probability, 0 where what is left to 1 is larger.

    Of equal ones the lowest value wins.
    """
    best: Array = np.asarray(1.0 - np.sum(maps, axis=0, dtype=np.float64))
    merged = np.zeros(best.shape, smallest_dtype(0, max(values)))
    for value, each in sorted(zip(values, maps, strict=True), key=lambda pair: pair[0]):
        larger = each > best
        best[larger] = each[larger]
        merged[larger] = value
    return merged
