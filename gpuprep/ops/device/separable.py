"""Banded passes, one axis at a time: the first reads stored voxels, the last writes the result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import NULL, Engine
from gpuprep.ops.axis import AxisWeights
from gpuprep.ops.device.arguments import (
    MOST_GRID,
    STRIDES,
    lengths_of,
    source_name,
    step_for,
    strides_of,
    target_name,
)
from gpuprep.ops.device.sampling import Sampling
from gpuprep.ops.device.target import Target
from gpuprep.ops.pointwise import IDENTITY, ClipAffine

_OUTPUTS = 8  # of a block, as in resample.cu
_ROWS_TILE = 4 * 32 * 129  # bytes of shared memory of rows_pass
_THREADS = 256
_BAND = np.dtype([("outputs", "i4"), ("inputs", "i4"), ("blocks", "i4"), ("widest", "i4")])
_LIMITS = np.dtype([("along", STRIDES), ("count", "i8")])
_FLOAT32 = np.dtype(np.float32)


class Limits(NamedTuple):
    """What results are held within: float32 ``(2, m)``, the lows and highs of the slices across an axis."""

    axis: int
    bounds: NDArray[np.float32]


class Band(NamedTuple):
    """An axis in blocks of eight outputs: first input, inputs, and dense weights of each block."""

    first: NDArray[np.int32]
    width: NDArray[np.int32]
    weights: NDArray[np.float32]


@lru_cache(maxsize=64)
def band_of(axis: AxisWeights) -> Band:
    """The tables that resample.cu reads; ``weights`` is ``(blocks, widest, 8)``, zero beyond a block."""
    blocks = axis.blocks(_OUTPUTS)
    if len(blocks) > MOST_GRID:
        raise ValueError(f"an axis of {axis.m} voxels is too long for the kernels: use NumPy")
    first = np.array([block.in_start for block in blocks], np.int32)
    width = np.array([block.in_stop - block.in_start for block in blocks], np.int32)
    weights = np.zeros((len(blocks), int(width.max()), _OUTPUTS), np.float32)
    for table, block in zip(weights, blocks, strict=True):
        rows, inputs = block.matrix.shape
        table[:inputs, :rows] = block.matrix.T
    return Band(first, width, weights)


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
    step = step_for(before, array.dtype)
    for turn, number in enumerate(inner):
        volume = _pass(engine, volume, sampling.ordered[number], number, None if turn else step)
    roles = _roles(last)
    axes = [sampling.order[role] for role in roles]
    tables = _tables(engine, sampling.ordered[last])
    arguments = (
        volume,
        *_along(volume, roles),
        *tables,
        *_limit_arguments(engine, limits, axes),
        step_for(after, _FLOAT32),
        target.array,
        target.places(axes),
    )
    kernel = f"last_pass_{target_name(target.array.dtype)}"
    grid = _grid(volume, last, len(tables[0]))
    engine.launch("resample", kernel, grid, _THREADS, arguments)


def _pass(engine: Engine, volume: Any, axis: AxisWeights, number: int, step: Any) -> Any:
    """The float32 volume with one axis resampled; ``step`` comes first where there is one."""
    shape = list(volume.shape)
    shape[number] = axis.m
    out = engine.xp.empty(tuple(shape), np.float32)
    tables = _tables(engine, axis)
    blocks = len(tables[0])
    if number == 2:
        step = step_for(IDENTITY, _FLOAT32) if step is None else step
        name = f"rows_pass_{source_name(volume.dtype)}"
        lines = volume.shape[0] * volume.shape[1]
        grid = -(-lines // 32), -(-blocks // 8)
        arguments = (volume, strides_of(volume), lengths_of(volume.shape), step, *tables, out)
        engine.launch("resample", name, grid, _THREADS, arguments, _ROWS_TILE)
        return out
    name = "between" if step is None else source_name(volume.dtype)
    steps = () if step is None else (step,)
    roles = _roles(number)
    write = strides_of(out, roles)
    arguments = (volume, *_along(volume, roles), *steps, *tables, out, write)
    grid = _grid(volume, number, blocks)
    engine.launch("resample", f"columns_pass_{name}", grid, _THREADS, arguments)
    return out


def _roles(number: int) -> tuple[int, int, int]:
    """The array's axes as slices, rows and columns of a pass along its axis ``number`` (0 or 1)."""
    return 1 - number, number, 2


def _along(volume: Any, roles: tuple[int, int, int]) -> tuple[Any, Any]:
    return strides_of(volume, roles), lengths_of([volume.shape[axis] for axis in roles])


def _grid(volume: Any, number: int, blocks: int) -> tuple[int, int]:
    return -(-(volume.shape[1 - number] * volume.shape[2]) // _THREADS), blocks


def _tables(engine: Engine, axis: AxisWeights) -> tuple[Any, ...]:
    """Band and sizes of an axis; what is large lies on the device already, or goes there once."""
    first, width, weights = engine.tables.get(("band", axis), lambda: band_of(axis))
    sizes = np.array([(axis.m, axis.n, *weights.shape[:2])], _BAND)
    return first, width, weights, sizes


def _limit_arguments(engine: Engine, limits: Limits | None, axes: list[int]) -> tuple[Any, Any]:
    """The limits and how the last pass finds them; ``axes`` are its slices, rows and columns."""
    if limits is None:
        return NULL, np.zeros(1, _LIMITS)
    along = tuple(int(axis == limits.axis) for axis in axes)
    count = limits.bounds.shape[1]
    return engine.xp.asarray(limits.bounds), np.array([(along, count)], _LIMITS)
