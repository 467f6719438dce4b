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
    lengths_of,
    row_grid,
    rule_above,
    strides_of,
    voxel_name,
)
from gpuprep.ops.gather import memory_order
from gpuprep.values.geometry import Box

_THREADS = 128


def nonzero_box_device(engine: Engine, arrays: Sequence[Any]) -> Box | None:
    """``ops.crop.nonzero_box``: the tight box of voxels that differ from zero in any channel."""
    return box_of_counts(_counts(engine, arrays, None))


def label_box_device(engine: Engine, labels: Sequence[Any]) -> Box | None:
    """``ops.crop.label_box``: the tight box of voxels above zero in any label map."""
    return box_of_counts(_counts(engine, labels, 0.0))


def above_box_device(
    engine: Engine, array: Any, threshold: float, minimum_fraction: float = 0.02
) -> Box | None:
    """``ops.crop.above_box``: from the first to the last plane with enough voxels above a threshold."""
    return box_of_counts(_counts(engine, [array], threshold), minimum_fraction)


def _counts(
    engine: Engine, arrays: Sequence[Any], threshold: float | None
) -> list[NDArray[np.int64]]:
    """Per axis z, y, x how many voxels of each plane count, over all arrays together."""
    counts = [engine.xp.zeros(length, np.uint64) for length in arrays[0].shape]
    for array in arrays:
        voxels = array.view(np.uint8) if array.dtype == np.bool_ else array
        order = memory_order(voxels)
        shape = [voxels.shape[axis] for axis in order]
        arguments = (
            voxels,
            strides_of(voxels, order),
            lengths_of(shape),
            rule_above(threshold, voxels.dtype),
            *(counts[axis] for axis in order),
        )
        kernel = f"profiles_{voxel_name(voxels.dtype)}"
        grid = row_grid(shape, _THREADS)
        engine.launch("profiles", kernel, grid, _THREADS, arguments, 4 * RUN)
    return [engine.to_host(count).astype(np.int64) for count in counts]
