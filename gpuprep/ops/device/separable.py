"""Banded passes, one axis at a time: the first reads stored voxels, the last writes the result."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import NULL, Engine
from gpuprep.ops.axis import AxisWeights
from gpuprep.ops.device.arguments import (
    STRIDES,
    lengths_of,
    source_name,
    step_for,
    strides_of,
    target_name,
)
from gpuprep.ops.device.plane import GROUP, fits_plane, plane_pass, volume_between
from gpuprep.ops.device.sampling import Sampling
from gpuprep.ops.device.target import Target
from gpuprep.ops.device.windows import windows_of
from gpuprep.ops.pointwise import IDENTITY, ClipAffine

_OUTPUTS = 8  # of a block, as in resample.cu
_LINES = 4  # that a thread takes
_ROWS_TILE = 4 * 32 * 161  # bytes of shared memory of rows_pass
_THREADS = 256
_LIMITS = np.dtype([("along", STRIDES), ("count", "i8")])
_FLOAT32 = np.dtype(np.float32)


class Limits(NamedTuple):
    """What results are held within: float32 ``(2, m)``, the lows and highs of the slices across an axis."""

    axis: int
    bounds: NDArray[np.float32]


def apply_axes(
    engine: Engine,
    array: Any,
    sampling: Sampling,
    before: ClipAffine,
    after: ClipAffine,
    limits: Limits | None,
    target: Target,
) -> None:
    """Write ``after(clip(axes(before(array)), limits))``: any strides on both sides, float32 in between."""
    volume = array.transpose(sampling.order)
    *inner, last = sampling.passes
    if fits_plane(engine, volume, sampling):
        volume = plane_pass(engine, volume, sampling, before)
    else:
        step = step_for(before, array.dtype)
        for turn, number in enumerate(inner):
            volume = _pass(engine, volume, sampling.ordered[number], number, None if turn else step)
    roles = _roles(last)
    axes = [sampling.order[role] for role in roles]
    tables = _tables(engine, sampling.ordered[last])
    joined, warps = _last_lines(volume, last)
    arguments = (
        volume,
        *_along(volume, roles),
        np.int32(joined),
        *tables,
        *_limit_arguments(engine, limits, axes),
        step_for(after, _FLOAT32),
        target.array,
        target.places(axes),
    )
    kernel = f"last_pass_{target_name(target.array.dtype)}"
    engine.launch("resample", kernel, _grid(warps, len(tables[0])), _THREADS, arguments)


def _last_lines(volume: Any, number: int) -> tuple[bool, int]:
    """Whether slices of the last pass lie behind one another, and its warps, each for neighbouring lines."""
    slices, columns = volume.shape[1 - number], volume.shape[2]
    pitch = volume.strides[1 - number] // volume.itemsize
    if number == 0 and slices * pitch < 1 << 31:
        return True, -(-((slices - 1) * pitch + columns) // GROUP)
    return False, slices * -(-columns // GROUP)


def _pass(engine: Engine, volume: Any, axis: AxisWeights, number: int, step: Any) -> Any:
    """The float32 volume with one axis resampled; ``step`` comes first where there is one."""
    shape = list(volume.shape)
    shape[number] = axis.m
    out = volume_between(engine, shape)
    tables = _tables(engine, axis)
    blocks = len(tables[0])
    if number == 2:
        step = step_for(IDENTITY, _FLOAT32) if step is None else step
        name = f"rows_pass_{source_name(volume.dtype)}"
        grid = (-(-volume.shape[0] * volume.shape[1] // 32) * -(-blocks // 8),)
        arguments = (volume, strides_of(volume), lengths_of(volume.shape), step, *tables, out)
        engine.launch("resample", name, grid, _THREADS, arguments, _ROWS_TILE)
        return out
    name = "between" if step is None else source_name(volume.dtype)
    steps = () if step is None else (step,)
    roles = _roles(number)
    write = strides_of(out, roles)
    arguments = (volume, *_along(volume, roles), *steps, *tables, out, write)
    warps = -(-volume.shape[1 - number] // _LINES) * -(-volume.shape[2] // 32)
    grid = _grid(warps, blocks)
    engine.launch("resample", f"columns_pass_{name}", grid, _THREADS, arguments)
    return out


def _roles(number: int) -> tuple[int, int, int]:
    """The array's axes as slices, rows and columns of a pass along its axis ``number`` (0 or 1)."""
    return 1 - number, number, 2


def _along(volume: Any, roles: tuple[int, int, int]) -> tuple[Any, Any]:
    return strides_of(volume, roles), lengths_of([volume.shape[axis] for axis in roles])


def _grid(warps: int, blocks: int) -> tuple[int]:
    grid = -(-warps // (_THREADS // 32)) * blocks
    if grid >= 1 << 31:
        raise ValueError(f"{warps * blocks} pieces are too many for the kernels: use NumPy")
    return (grid,)


def _tables(engine: Engine, axis: AxisWeights) -> tuple[Any, ...]:
    """Band and sizes of an axis; what is large lies on the device already, or goes there once."""
    windows = windows_of(axis, _OUTPUTS)
    kept = engine.tables.get(("band", axis), lambda: [windows.first, windows.weights])
    return (*kept, windows.sizes)


def _limit_arguments(engine: Engine, limits: Limits | None, axes: list[int]) -> tuple[Any, Any]:
    """The limits and how the last pass finds them; ``axes`` are its slices, rows and columns."""
    if limits is None:
        return NULL, np.zeros(1, _LIMITS)
    along = tuple(int(axis == limits.axis) for axis in axes)
    count = limits.bounds.shape[1]
    return engine.xp.asarray(limits.bounds), np.array([(along, count)], _LIMITS)
