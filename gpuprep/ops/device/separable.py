"""Banded passes, one axis at a time: the first reads stored voxels, the last writes the result."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import Axes, AxisWeights
from gpuprep.ops.device.arguments import (
    MOST_GRID,
    lengths_of,
    source_name,
    step_for,
    strides_of,
    target_name,
)
from gpuprep.ops.gather import memory_order
from gpuprep.ops.pointwise import IDENTITY, ClipAffine

_OUTPUTS = 8  # of a block, as in resample.cu
_ROWS_TILE = 4 * 32 * 129  # bytes of shared memory of rows_pass
_THREADS = 256
_BAND = np.dtype([("outputs", "i4"), ("inputs", "i4"), ("blocks", "i4"), ("widest", "i4")])
_FLOAT32 = np.dtype(np.float32)


class Band(NamedTuple):
    """An axis in blocks of eight outputs: first input, inputs, and dense weights of each block."""

    first: NDArray[np.int32]
    width: NDArray[np.int32]
    weights: NDArray[np.float32]
    sizes: NDArray[np.void]


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
    sizes = np.array([(axis.m, axis.n, len(blocks), weights.shape[1])], _BAND)
    return Band(first, width, weights, sizes)


def apply_axes(
    engine: Engine, array: Any, axes: Axes, out: Any, before: ClipAffine, after: ClipAffine
) -> None:
    """Write ``after(axes(before(array)))``. Any strides on both sides; float32 in between."""
    order = memory_order(array)
    volume, target = array.transpose(order), out.transpose(order)
    ordered = axes[order[0]], axes[order[1]], axes[order[2]]
    *inner, last = pass_order(ordered)
    step = step_for(before, array.dtype)
    for number, axis in enumerate(inner):
        volume = _pass(engine, volume, ordered[axis], axis, None if number else step)
    _last_pass(engine, volume, ordered[last], last, after, target)


def pass_order(axes: Axes) -> list[int]:
    """The axes to resample, at least two: what shrinks most comes first, the fastest axis never last."""
    mixing = [axis for axis in (2, 1, 0) if not axes[axis].identity]
    if len(mixing) < 2:  # one more, to read in one pass and write in another
        mixing.append(next(axis for axis in (1, 0) if axis not in mixing))
    mixing.sort(key=lambda axis: axes[axis].m / axes[axis].n)
    if mixing[-1] == 2:
        mixing[-2:] = mixing[:-3:-1]
    return mixing


def _pass(engine: Engine, volume: Any, axis: AxisWeights, number: int, step: Any) -> Any:
    """The float32 volume with one axis resampled; ``step`` comes first where there is one."""
    band = band_of(axis)
    shape = list(volume.shape)
    shape[number] = axis.m
    out = engine.xp.empty(tuple(shape), np.float32)
    tables = _tables(engine, band)
    if number == 2:
        step = step_for(IDENTITY, _FLOAT32) if step is None else step
        name = f"rows_pass_{source_name(volume.dtype)}"
        lines = volume.shape[0] * volume.shape[1]
        grid = -(-lines // 32), -(-len(band.first) // 8)
        arguments = (volume, strides_of(volume), lengths_of(volume.shape), step, *tables, out)
        engine.launch("resample", name, grid, _THREADS, arguments, _ROWS_TILE)
        return out
    name = "between" if step is None else source_name(volume.dtype)
    steps = () if step is None else (step,)
    read, write = _along(volume, number), strides_of(out, _roles(number))
    arguments = (volume, *read, *steps, *tables, out, write)
    engine.launch(
        "resample", f"columns_pass_{name}", _grid(volume, number, band), _THREADS, arguments
    )
    return out


def _last_pass(
    engine: Engine, volume: Any, axis: AxisWeights, number: int, after: ClipAffine, target: Any
) -> None:
    band = band_of(axis)
    arguments = (
        volume,
        *_along(volume, number),
        *_tables(engine, band),
        step_for(after, _FLOAT32),
        target,
        strides_of(target, _roles(number)),
    )
    kernel = f"last_pass_{target_name(target.dtype)}"
    engine.launch("resample", kernel, _grid(volume, number, band), _THREADS, arguments)


def _roles(number: int) -> tuple[int, int, int]:
    """The array's axes as slices, rows and columns of a pass along its axis ``number`` (0 or 1)."""
    return 1 - number, number, 2


def _along(volume: Any, number: int) -> tuple[Any, Any]:
    roles = _roles(number)
    return strides_of(volume, roles), lengths_of([volume.shape[axis] for axis in roles])


def _grid(volume: Any, number: int, band: Band) -> tuple[int, int]:
    return -(-(volume.shape[1 - number] * volume.shape[2]) // _THREADS), len(band.first)


def _tables(engine: Engine, band: Band) -> tuple[Any, ...]:
    first, width, weights = (engine.xp.asarray(table) for table in band[:3])
    return first, width, weights, band.sizes
