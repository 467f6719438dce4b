"""Grids that need few voxels per output, in one kernel: picks from one voxel, linear from eight."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import AxisWeights
from gpuprep.ops.device.arguments import (
    lengths_of,
    only_shifts,
    point_grid,
    source_name,
    step_for,
    strides_of,
    target_name,
)
from gpuprep.ops.device.sampling import Sampling
from gpuprep.ops.device.target import Target
from gpuprep.ops.pointwise import ClipAffine

_THREADS = 128
_DEPTH = 4  # slices that a thread of linear takes, as in linear.cu


def pick(engine: Engine, array: Any, sampling: Sampling, step: ClipAffine, target: Target) -> None:
    """Write ``step`` of the voxels that the axes pick."""
    order, shape = sampling.order, [axis.m for axis in sampling.ordered]
    arguments = (
        array,
        strides_of(array, order),
        *pick_tables(engine, sampling),
        lengths_of(shape),
        step_for(step, array.dtype),
        target.array,
        target.places(order),
    )
    kernel = f"pick_{source_name(array.dtype)}_{target_name(target.array.dtype)}"
    engine.launch("linear", kernel, point_grid(shape, _THREADS), _THREADS, arguments)


def pick_tables(engine: Engine, sampling: Sampling) -> list[Any]:
    """Per axis, on the device, the one input index of each output."""

    def picks(axis: AxisWeights) -> Any:
        return engine.tables.get(("pick", axis), lambda: [axis.start])[0]

    return [picks(axis) for axis in sampling.ordered]


def linear(
    engine: Engine,
    array: Any,
    sampling: Sampling,
    before: ClipAffine,
    after: ClipAffine,
    target: Target,
) -> None:
    """Write ``after`` of what lies between the two voxels that each axis names."""
    order, shape = sampling.order, [axis.m for axis in sampling.ordered]
    tables = [table for axis in sampling.ordered for table in _tap_tables(engine, axis)]
    step = step_for(before, array.dtype)
    arguments = (
        array,
        strides_of(array, order),
        lengths_of([axis.weights.shape[1] - 1 for axis in sampling.ordered]),
        step,
        only_shifts(step),
        *tables,
        lengths_of(shape),
        step_for(after, np.dtype(np.float32)),
        target.array,
        target.places(order),
    )
    kernel = f"linear_{source_name(array.dtype)}_{target_name(target.array.dtype)}"
    slices, rows, columns = shape
    grid = point_grid((-(-slices // _DEPTH), rows, columns), _THREADS)
    engine.launch("linear", kernel, grid, _THREADS, arguments)


def _tap_tables(engine: Engine, axis: AxisWeights) -> tuple[Any, ...]:
    """The index of the voxel below each output, and the weights of it and of the next."""

    def taps() -> tuple[Any, Any]:
        second = axis.weights[:, 1] if axis.weights.shape[1] == 2 else np.zeros(axis.m)
        return axis.start, np.stack([axis.weights[:, 0], second]).astype(np.float32)

    return engine.tables.get(("taps", axis), taps)
