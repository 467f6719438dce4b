"""Slices shifted onto a straight grid: each one is an in-plane resampling with an offset of its own.

Along the slice axis only slices at whole numbers are taken as they are; between two uneven ones values
are linear. Voxels of the straight grid whose centre is outside the source (an index outside
``[-½, n - ½)``, as ITK has it) get a fill value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Interpolation
from gpuprep.ops.band import Boundary
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.parallel import open_threads
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.grids import GridMapping
from gpuprep.values.stack import Stack

Array = NDArray[Any]


def unshear(
    array: Array,
    stack: Stack,
    *,
    interpolation: Interpolation = "linear",
    boundary: Boundary = "nearest",
    threads: int = 1,
) -> Array:
    """An image on the straight grid of its stack, in its own dtype and within its own range.

    Integers are rounded half to even. A voxel whose nearest one is NaN or infinite is NaN; the finite
    extremes stand in for those (the smallest for NaN) while the others are interpolated. Outside the
    source lies the smallest voxel of the image: air in CT, 0 in most MR. Without any finite voxel the
    result is NaN throughout.
    """
    finite, low, high = _finite(array)
    out = np.full(stack.geometry.shape, low, array.dtype)
    if not math.isfinite(low):
        return out

    def shift(part: Array, mapping: GridMapping) -> Array:
        kinds: list[Interpolation] = [interpolation] * 3
        kinds[stack.axis] = "nearest" if interpolation == "nearest" else "linear"
        ends = low, high
        how = Resampling(mapping, kinds, boundary, clip_to=ends, value_range=ends)
        return resample(part, how, dtype=array.dtype)

    straight = _straighten(finite, stack, out, shift, threads)
    if finite is not array:
        straight[unshear_labels((~np.isfinite(array)).view(np.uint8), stack) != 0] = np.nan
    return straight


def unshear_labels(
    array: Array,
    stack: Stack,
    *,
    interpolation: Literal["nearest", "linear"] = "nearest",
    threads: int = 1,
) -> Array:
    """A label map on the straight grid of its stack, by the rules of ``resample_labels``; outside 0."""

    def shift(part: Array, mapping: GridMapping) -> Array:
        return resample_labels(part, Resampling(mapping, interpolation))

    out = np.zeros(stack.geometry.shape, array.dtype)
    return _straighten(array, stack, out, shift, threads)


def _finite(array: Array) -> tuple[Array, float, float]:
    """The array without NaN and infinities, and its smallest and largest finite voxel."""
    low, high = float(array.min()), float(array.max())
    if math.isfinite(low) and math.isfinite(high):
        return array, low, high
    values = array[np.isfinite(array)]
    if not values.size:
        return array, math.nan, math.nan
    low, high = float(values.min()), float(values.max())
    return np.nan_to_num(array, nan=low, posinf=high, neginf=low), low, high


def _straighten(
    array: Array,
    stack: Stack,
    out: Array,
    shift: Callable[[Array, GridMapping], Array],
    threads: int,
) -> Array:
    """Write into ``out`` what each straight slice sees of the source."""

    def write(view: _View) -> None:
        out[view.target] = shift(array[view.source], view.mapping)

    with open_threads(threads) as pool:
        pool.map(write, _views(stack, array.shape))
    return out


class _View(NamedTuple):
    """One straight slice: the part of it that lies inside the source, the one or two source slices it
    is made of, and the mapping from the one to the other."""

    target: tuple[slice, ...]
    source: tuple[slice, ...]
    mapping: GridMapping


def _views(stack: Stack, shape: tuple[int, ...]) -> Iterator[_View]:
    plane = [axis for axis in range(3) if axis != stack.axis]
    for k, (number, shifts) in enumerate(zip(stack.numbers, stack.offsets, strict=True)):
        below = math.floor(number)
        above = math.ceil(number) + 1
        target, source = [slice(k, k + 1)] * 3, [slice(below, above)] * 3
        offset = [float(number - below)] * 3
        for axis, first in zip(plane, shifts.tolist(), strict=True):
            inside = slice(
                max(0, math.ceil(-0.5 - first)),
                min(stack.geometry.shape[axis], math.ceil(shape[axis] - 0.5 - first)),
            )
            target[axis], source[axis] = inside, slice(None)
            offset[axis] = first + inside.start
        lengths = [part.stop - part.start for part in target]
        mapping = GridMapping(_three(lengths), (1.0, 1.0, 1.0), _three(offset))
        yield _View(tuple(target), tuple(source), mapping)


def _three(values: list[Any]) -> tuple[Any, Any, Any]:
    a, b, c = values
    return a, b, c
