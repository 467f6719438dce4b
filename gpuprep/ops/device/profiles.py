"""Boxes around what matters in a volume on a device: ``ops.crop`` from counts per slice, row and column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.crop import box_of_counts
from gpuprep.ops.device.arguments import (
    RUN,
    as_numbers,
    lengths_of,
    row_grid,
    rule_above,
    source_name,
    strides_of,
    voxel_name,
)
from gpuprep.ops.gather import memory_order
from gpuprep.ops.radix import decode_key
from gpuprep.values.geometry import Box

SliceRanges = tuple[NDArray[Any], NDArray[Any]]
"""Smallest and largest voxel of each slice, in the volume's dtype, on the host."""

_THREADS = 128


def find_box_device(
    engine: Engine, arrays: Sequence[Any], above: float | None = None, fraction: float = 0.0
) -> Box | None:
    """``ops.crop.find_box`` on the engine's arrays."""
    return box_of_counts(_counts(engine, arrays, above), fraction)


def _counts(engine: Engine, arrays: Sequence[Any], above: float | None) -> list[NDArray[np.int64]]:
    """Per axis z, y, x how many voxels of each plane count, over all arrays together."""
    counts = [engine.xp.zeros(length, np.uint64) for length in arrays[0].shape]
    for array in arrays:
        voxels = as_numbers(array)
        order = memory_order(voxels)
        shape = [voxels.shape[axis] for axis in order]
        arguments = (
            voxels,
            strides_of(voxels, order),
            lengths_of(shape),
            rule_above(above, voxels.dtype),
            *(counts[axis] for axis in order),
        )
        kernel = f"profiles_{voxel_name(voxels.dtype)}"
        grid = row_grid(shape, _THREADS)
        engine.launch("profiles", kernel, grid, _THREADS, arguments, 4 * RUN)
    return [engine.to_host(count).astype(np.int64) for count in counts]


def slice_ranges_device(engine: Engine, array: Any, axis: int) -> SliceRanges:
    """The range of each slice across ``axis`` (NaN where a slice holds NaN, as NumPy has it); any strides.

    Raises TypeError for dtypes that no kernel reads.
    """
    array = as_numbers(array)
    name = f"extremes_{source_name(array.dtype)}"
    a, b, fastest = memory_order(array)
    order = (axis, b if axis == a else a, fastest) if axis != fastest else (a, b, fastest)
    keys = np.dtype(f"u{max(4, array.itemsize)}")
    ends = np.zeros((2, array.shape[axis]), keys)
    ends[0] -= keys.type(1)  # the largest key
    lows, highs = on_device = engine.xp.asarray(ends)
    shape = [array.shape[place] for place in order]
    arguments = (
        array,
        strides_of(array, order),
        lengths_of(shape),
        np.int32(axis == fastest),
        lows,
        highs,
    )
    engine.launch("profiles", name, row_grid(shape, _THREADS), _THREADS, arguments)
    kind = array.dtype if array.dtype.kind == "f" else np.dtype(np.int32)
    values = [[decode_key(int(key), kind) for key in row] for row in engine.to_host(on_device)]
    low, high = np.array(values).astype(array.dtype)
    if array.dtype.kind == "f":  # keys put a NaN at one end, by its sign
        unknown = np.isnan(low) | np.isnan(high)
        low[unknown] = high[unknown] = np.nan
    return low, high
