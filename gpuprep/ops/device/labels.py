"""Label maps on a device: nearest by index tables, linear by the vote of eight voxels."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from gpuprep.grids import GridMapping
from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import AxisWeights, grid_axes
from gpuprep.ops.device.arguments import lengths_of, point_grid, strides_of
from gpuprep.ops.gather import memory_order

_THREADS = 128
_NATIVE = {np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8)}


def resample_labels_device(
    engine: Engine,
    array: Any,
    mapping: GridMapping,
    *,
    interpolation: Literal["nearest", "linear"] = "nearest",
) -> Any:
    """``ops.labels.resample_labels`` on the engine's arrays: the same labels, voxel for voxel.

    ``array`` is 3-D, of any strides and any integer dtype in native byte order (TypeError for others).
    """
    if array.dtype not in _NATIVE:
        raise TypeError(f"labels are native integers, not {array.dtype}")
    axes = grid_axes(array.shape, mapping, interpolation)
    out = engine.xp.empty(mapping.shape, array.dtype)
    order = memory_order(array)
    shape = [axes[axis].m for axis in order]
    grid = point_grid(shape, _THREADS)
    ends = lengths_of(shape), out, strides_of(out, order)
    if all(axis.indices is not None for axis in axes):
        unsigned = np.dtype(f"u{array.itemsize}")
        picks = [engine.xp.asarray(axes[axis].start) for axis in order]
        bits = array.view(unsigned), strides_of(array, order), *picks
        arguments = (*bits, ends[0], out.view(unsigned), ends[2])
        engine.launch("labels", f"copy_{unsigned.name}", grid, _THREADS, arguments)
        return out
    nearest = grid_axes(array.shape, mapping, "nearest")
    tables = [table for axis in order for table in _taps(axes[axis], nearest[axis])]
    on_device = [engine.xp.asarray(table) for table in tables]
    arguments = (array, strides_of(array, order), *on_device, *ends)
    engine.launch("labels", f"vote_{array.dtype.name}", grid, _THREADS, arguments)
    return out


def _taps(linear: AxisWeights, nearest: AxisWeights) -> tuple[Any, Any]:
    """Indices below, above and nearest of each output, and the float64 weights of those above."""
    width = linear.weights.shape[1]
    weight = linear.weights[:, 1] if width == 2 else np.zeros(linear.m)
    index = np.stack([linear.start, linear.start + (width - 1), nearest.start])
    return index, np.ascontiguousarray(weight)
