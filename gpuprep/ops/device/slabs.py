"""Volumes that a device cannot hold, some outputs at a time: the same bytes as all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.device.link import Link
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.profiles import SliceRanges
from gpuprep.ops.device.resample import Whole, corners_of, resample_device
from gpuprep.ops.device.sampling import Part
from gpuprep.ops.gather import memory_order
from gpuprep.ops.resample import Resampling
from gpuprep.ops.table import MOST_KNOTS
from gpuprep.values.geometry import Shape

Array = NDArray[Any]

_FLOAT_BYTES = 4

COUNT_BYTES = 1 << 20
"""Device memory that does not grow with volumes: counts of 65,536 values, sums of blocks, tables of axes."""
CURVE_BYTES = 24 * MOST_KNOTS
"""The same of a curve's knots: three float64 of each, or four float32 and two buckets."""


def device_bytes(shape: Shape, target: Shape, itemsizes: Sequence[int]) -> int:
    """Device memory a case needs at most: its arrays, two float32 volumes between passes, a result."""
    between = 2 * math.prod(max(n, m) for n, m in zip(shape, target, strict=True))
    held = math.prod(shape) * sum(itemsizes)
    return held + _FLOAT_BYTES * (between + math.prod(target))


def resample_in_slabs(link: Link, array: Array, how: Resampling, out: Array, count: int) -> None:
    """``resample_device`` of an array on the host, in ``count`` parts, into ``out`` on the host."""
    axis = how.bounded_axis
    whole = Whole(
        how.value_range or (float(array.min()), float(array.max())),
        corners_of(array),
        None if axis is None else _slice_ranges(array, axis),
    )

    def resampled(slab: Any, part: Part) -> Any:
        return resample_device(link.engine, slab, how, part=part, whole=whole, dtype=out.dtype)

    _each_part(link, array, how, out, count, resampled)


def resample_labels_in_slabs(
    link: Link, label: Array, how: Resampling, out: Array, count: int
) -> None:
    """``resample_labels_device`` of a label map on the host, in ``count`` parts."""

    def resampled(slab: Any, part: Part) -> Any:
        return resample_labels_device(link.engine, slab, how, part=part)

    _each_part(link, label, how, out, count, resampled)


def _each_part(
    link: Link,
    array: Array,
    how: Resampling,
    out: Array,
    count: int,
    resampled: Callable[[Any, Part], Any],
) -> None:
    """Upload what each run of outputs along the slowest axis in memory needs, and download the run."""
    axis = memory_order(array)[0]
    length = how.mapping.shape[axis]
    step = -(-length // count)
    z, y, x = array.shape
    for start in range(0, length, step):
        part = Part((z, y, x), axis, start, min(start + step, length))
        needed = _along(array, axis, part.inputs(how))
        done = resampled(link.upload(needed), part)
        link.download(done, _along(out, axis, slice(part.start, part.stop)))


def _along(array: Array, axis: int, part: slice) -> Array:
    return array[(slice(None),) * axis + (part,)]


def _slice_ranges(array: Array, axis: int) -> SliceRanges:
    slices = [np.take(array, k, axis) for k in range(array.shape[axis])]
    low, high = (np.array([end(each) for each in slices]) for end in (np.min, np.max))
    return low.astype(array.dtype), high.astype(array.dtype)
