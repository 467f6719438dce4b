"""Volumes that a device cannot hold, some outputs at a time: the same bytes as all at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpuprep.device.link import Link
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.profiles import SliceRanges
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.sampling import Part, needed_slices
from gpuprep.ops.gather import memory_order
from gpuprep.ops.resample import Resampling
from gpuprep.values.grids import GridMapping

Array = NDArray[Any]


def resample_in_slabs(link: Link, array: Array, how: Resampling, out: Array, count: int) -> None:
    """``resample_device`` of an array on the host, in ``count`` parts, into ``out`` on the host."""
    words = {name: value for name, value in how.keywords().items() if name != "value_range"}
    reach: dict[str, Any] = {
        name: words[name] for name in ("interpolation", "boundary", "antialias")
    }
    reach["separate_axis"] = how.separate_axis
    known: dict[str, Any] = {
        "value_range": how.value_range or (float(array.min()), float(array.max())),
        "corners": array[tuple(slice(None, None, max(1, n - 1)) for n in array.shape)].copy(),
    }
    if how.separate_axis is not None:
        known["slice_ranges"] = _slice_ranges(array, how.separate_axis)
    for part in _parts(array, how.mapping, count):
        slab = link.upload(_along(array, part.axis, needed_slices(part, how.mapping, **reach)))
        done = resample_device(
            link.engine, slab, how.mapping, **words, **known, part=part, dtype=out.dtype
        )
        link.download(done, _along(out, part.axis, slice(part.start, part.stop)))


def resample_labels_in_slabs(
    link: Link,
    label: Array,
    mapping: GridMapping,
    out: Array,
    count: int,
    *,
    interpolation: Literal["nearest", "linear"],
    separate_axis: int | None,
) -> None:
    """``resample_labels_device`` of a label map on the host, in ``count`` parts."""
    for part in _parts(label, mapping, count):
        needed = needed_slices(
            part, mapping, interpolation=interpolation, separate_axis=separate_axis
        )
        done = resample_labels_device(
            link.engine,
            link.upload(_along(label, part.axis, needed)),
            mapping,
            interpolation=interpolation,
            separate_axis=separate_axis,
            part=part,
        )
        link.download(done, _along(out, part.axis, slice(part.start, part.stop)))


def _parts(array: Array, mapping: GridMapping, count: int) -> Iterator[Part]:
    """Outputs along the slowest axis in memory, in runs of equal length."""
    axis = memory_order(array)[0]
    step = -(-mapping.shape[axis] // count)
    z, y, x = array.shape
    for start in range(0, mapping.shape[axis], step):
        yield Part((z, y, x), axis, start, min(start + step, mapping.shape[axis]))


def _along(array: Array, axis: int, part: slice) -> Array:
    return array[(slice(None),) * axis + (part,)]


def _slice_ranges(array: Array, axis: int) -> SliceRanges:
    slices = [np.take(array, k, axis) for k in range(array.shape[axis])]
    low, high = (np.array([end(each) for each in slices]) for end in (np.min, np.max))
    return low.astype(array.dtype), high.astype(array.dtype)
