"""Rows and columns of each slice resampled by one kernel, which leaves the slices for a last pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import (
    MOST_GRID,
    only_shifts,
    source_name,
    step_for,
    strides_of,
)
from gpuprep.ops.device.sampling import Sampling
from gpuprep.ops.device.windows import Windows, windows_of
from gpuprep.ops.pointwise import ClipAffine

_THREADS = 128
GROUP = 128
"""Neighbouring lines that a warp takes, as in plane.cu and resample.cu; it may read behind the last."""

_COLUMN_BYTES = 80  # of shared memory
_ROWS, _COLUMNS = 16, 12  # outputs of a block of either band


def volume_between(engine: Engine, shape: Sequence[int]) -> Any:
    """A new float32 volume between two passes, with memory behind it that the last pass may read."""
    size = math.prod(shape)
    return engine.xp.empty(size + GROUP, np.float32)[:size].reshape(tuple(shape))


def fits_plane(engine: Engine, volume: Any, sampling: Sampling) -> bool:
    """Whether the kernel can do rows and columns: neighbours in memory, as many as shared memory holds."""
    rows, columns = sampling.ordered[1:]
    if rows.identity or columns.identity or sampling.passes[-1] != 0 or len(sampling.passes) != 3:
        return False
    if abs(volume.strides[2]) != volume.itemsize or columns.n < GROUP:
        return False
    return _shared_bytes(windows_of(columns, _COLUMNS)) <= engine.shared_bytes


def _shared_bytes(columns: Windows) -> int:
    return _COLUMN_BYTES * (int(columns.sizes["inputs"][0]) + sum(columns.margins))


def plane_pass(engine: Engine, volume: Any, sampling: Sampling, before: ClipAffine) -> Any:
    """float32: slices of ``volume`` (axes in memory order) with their rows and columns resampled."""
    rows, columns = sampling.ordered[1:]
    windows = windows_of(rows, _ROWS), windows_of(columns, _COLUMNS)
    pitch = windows[1].blocks * _COLUMNS
    out = volume_between(engine, (volume.shape[0], rows.m, pitch))
    step = step_for(before, volume.dtype)
    tables = (
        *engine.tables.get(("rows", rows), lambda: [windows[0].first, windows[0].weights]),
        windows[0].sizes,
        *engine.tables.get(("columns", columns), lambda: _by_input(windows[1])),
        windows[1].sizes,
    )
    margins = [np.int32(margin) for margin in windows[1].margins]
    name = f"plane_pass_{source_name(volume.dtype)}"
    for start in range(0, volume.shape[0], MOST_GRID):
        part, to = (array[start : start + MOST_GRID] for array in (volume, out))
        arguments = (part, strides_of(part), step, only_shifts(step), *tables, *margins, to)
        grid, shared = (windows[0].blocks, part.shape[0]), _shared_bytes(windows[1])
        engine.launch("plane", name, grid, _THREADS, (*arguments, np.int64(pitch)), shared)
    return out[:, :, : columns.m]


def _by_input(windows: Windows) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Weights by input and block: lanes that take neighbouring blocks read beside one another."""
    return windows.first, np.ascontiguousarray(windows.weights.transpose(1, 0, 2))
