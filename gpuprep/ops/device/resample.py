"""Resampling on a device: picks, a direct linear kernel, or three banded passes; steps fused throughout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpuprep.grids import GridMapping
from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import Axes, AxisWeights, Interpolation, grid_axes
from gpuprep.ops.band import Boundary
from gpuprep.ops.device.arguments import (
    lengths_of,
    point_grid,
    source_name,
    step_for,
    strides_of,
    target_name,
)
from gpuprep.ops.device.separable import apply_axes
from gpuprep.ops.device.statistics import value_range_device
from gpuprep.ops.gather import memory_order
from gpuprep.ops.pointwise import IDENTITY, ClipAffine, clip
from gpuprep.ops.resample import about_origin

_THREADS = 128


def resample_device(
    engine: Engine,
    array: Any,
    mapping: GridMapping,
    *,
    interpolation: Interpolation | Sequence[Interpolation] = "linear",
    boundary: Boundary = "nearest",
    antialias: bool = False,
    prologue: ClipAffine = IDENTITY,
    epilogue: ClipAffine = IDENTITY,
    clip_to: tuple[float, float] | None = None,
    dtype: DTypeLike = np.float32,
    value_range: tuple[float, float] | None = None,
    out: Any = None,
) -> Any:
    """``ops.resample.resample`` on the engine's arrays: same arguments, same result within 2e-6 of the range.

    ``array`` may have any strides (crops, flips and permutes cost no copy) and is bool, int8, uint8,
    int16, uint16, int32 or float32; the result, or ``out`` of any strides, is float32, float16 or int16.

    Raises:
        TypeError: another dtype on either side.
        ValueError: as ``resample``, and a scale that float32 cannot hold.
    """
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"expected a 3-D array with voxels, got shape {array.shape}")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    target = engine.xp.empty(mapping.shape, dtype) if out is None else out
    if target.shape != mapping.shape:
        raise ValueError(f"out has shape {target.shape}, the grid has {mapping.shape}")
    axes = grid_axes(array.shape, mapping, interpolation, boundary, antialias=antialias)
    after = clip(*(clip_to or (-math.inf, math.inf))).then(epilogue)
    if all(axis.indices is not None for axis in axes):
        _pick(engine, array, axes, target, prologue.then(after))
        return target
    before, after = _centred(engine, array, prologue, after, value_range)
    if after.scale == 0:
        _fill(target, after)
    elif all(axis.weights.shape[1] <= 2 for axis in axes):
        _linear(engine, array, axes, target, before, after)
    else:
        apply_axes(engine, array, axes, target, before, after)
    return target


def _centred(
    engine: Engine,
    array: Any,
    prologue: ClipAffine,
    after: ClipAffine,
    value_range: tuple[float, float] | None,
) -> tuple[ClipAffine, ClipAffine]:
    """The steps before and after, counted from an origin as the NumPy engine does."""
    z, y, x = (slice(None, None, max(1, n - 1)) for n in array.shape)
    corners = engine.to_host(array[z, y, x])
    ends = value_range or value_range_device(engine, array)
    return about_origin(prologue, after, corners, ends)


def _fill(target: Any, step: ClipAffine) -> None:
    """Write the one result of a constant step."""
    target[...] = step.apply(np.zeros(1, np.float32), target.dtype)[0]


def _pick(engine: Engine, array: Any, axes: Axes, target: Any, step: ClipAffine) -> None:
    """Write ``step`` of the voxels that the axes pick."""
    if step.scale == 0:
        _fill(target, step)
        return
    order = memory_order(array)
    shape = [axes[axis].m for axis in order]
    arguments = (
        array,
        strides_of(array, order),
        *(engine.xp.asarray(axes[axis].start) for axis in order),
        lengths_of(shape),
        step_for(step, array.dtype),
        target,
        strides_of(target, order),
    )
    kernel = f"pick_{source_name(array.dtype)}_{target_name(target.dtype)}"
    engine.launch("linear", kernel, point_grid(shape, _THREADS), _THREADS, arguments)


def _linear(
    engine: Engine, array: Any, axes: Axes, target: Any, before: ClipAffine, after: ClipAffine
) -> None:
    """Write ``after`` of what lies between the two voxels that each axis names."""
    order = memory_order(array)
    shape = [axes[axis].m for axis in order]
    tables = [engine.xp.asarray(table) for axis in order for table in _taps(axes[axis])]
    arguments = (
        array,
        strides_of(array, order),
        step_for(before, array.dtype),
        *tables,
        lengths_of(shape),
        step_for(after, np.dtype(np.float32)),
        target,
        strides_of(target, order),
    )
    kernel = f"linear_{source_name(array.dtype)}_{target_name(target.dtype)}"
    engine.launch("linear", kernel, point_grid(shape, _THREADS), _THREADS, arguments)


def _taps(axis: AxisWeights) -> tuple[Any, Any]:
    """The indices below and above each output, and their weights."""
    width = axis.weights.shape[1]
    index = np.stack([axis.start, axis.start + (width - 1)])
    second = axis.weights[:, 1] if width == 2 else np.zeros(axis.m)
    return index, np.stack([axis.weights[:, 0], second]).astype(np.float32)
