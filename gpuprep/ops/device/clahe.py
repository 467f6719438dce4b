"""CLAHE on a device: the same voxels as ``ops.clahe`` gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.clahe import (
    HIGHEST,
    bins_by_bits,
    bins_by_level,
    check_histograms,
    places,
    tile_counts,
    tile_limits,
)
from gpuprep.ops.device.arguments import (
    MOST_GRID,
    Struct,
    as_numbers,
    lengths_of,
    point_grid,
    source_name,
    strides_of,
)
from gpuprep.ops.device.statistics import value_range_device
from gpuprep.values.geometry import Shape

_THREADS = 128
_COUNTING = 256
_SHARE = 1 << 16  # voxels of a tile that a block counts
_MOST_BLOCKS = 1 << 16
MOST_VOXELS = (1 << 31) - 1  # of a tile
_TILES = np.dtype([(f"{kind}{axis}", "i4") for kind in ("", "across_") for axis in "zyx"])
_TILE_BYTES = 8 + 4
"""Of every bin of a tile, while curves are made of counts."""


def clahe_device(
    engine: Engine,
    array: Any,
    tile: Shape,
    ends: tuple[float, float],
    *,
    clip_limit: float = 0.01,
    bins: int = 256,
) -> Any:
    """``ops.clahe.clahe`` on the engine's arrays: a C-contiguous float32 volume of the same bits.

    Args:
        array: ``z, y, x``, of any strides; of a dtype that kernels read.

    Raises:
        ValueError: as ``ops.clahe.clahe``, and a tile of 2³¹ voxels or more.
        TypeError: another dtype.
    """
    check_histograms(tile, ends, bins)
    voxels, most = tile_limits(tile, clip_limit)
    if is_too_large(tile):
        raise ValueError(f"a tile of {tile} voxels is too large for the kernels: use NumPy")
    found = _binned(engine, as_numbers(array), ends, bins)
    across = tile_counts(found.shape, tile)
    tiles = np.array([(*tile, *across)], _TILES)
    given = found, lengths_of(found.shape), tiles, np.int32(bins)
    curves = _curves(engine, given, math.prod(across), (voxels, most))
    out = engine.xp.empty(found.shape, np.float32)
    tables = [
        table for axis in range(3) for table in _places(engine, found.shape[axis], tile[axis])
    ]
    grid = point_grid(found.shape, _THREADS)
    engine.launch("clahe", "mixed", grid, _THREADS, (*given, curves, *tables, out))
    low, high = value_range_device(engine, out)
    scale = np.float32(1 / (high - low) if high > low else 1)
    blocks = min(-(-out.size // _COUNTING), _MOST_BLOCKS)
    arguments = out, np.int64(out.size), np.float32(low), scale
    engine.launch("clahe", "stretched", (blocks,), _COUNTING, arguments)
    return out


def is_too_large(tile: Shape) -> bool:
    """Whether a tile has more voxels than kernels count."""
    return math.prod(tile) > MOST_VOXELS


def curve_bytes(shape: Sequence[int], tile: Shape, bins: int) -> int:
    """Device memory for the curves of all tiles, and what they are made of."""
    return math.prod(tile_counts(shape, tile)) * bins * _TILE_BYTES


def _binned(engine: Engine, array: Any, ends: tuple[float, float], bins: int) -> Any:
    """The bin of every voxel: uint8, in C order."""
    numbers: tuple[Any, ...] = ()
    if array.itemsize <= 2:
        kernel, table = "looked_up", bins_by_bits(array.dtype, ends, bins)
    else:
        kernel, table = "levelled", bins_by_level(bins)
        numbers = np.float64(ends[0]), np.float64(ends[1] - ends[0])
    found = engine.xp.empty(array.shape, np.uint8)
    given = array, strides_of(array), lengths_of(array.shape)
    arguments = (*given, *numbers, engine.xp.asarray(table), found)
    name, grid = f"{kernel}_{source_name(array.dtype)}", point_grid(array.shape, _THREADS)
    engine.launch("clahe", name, grid, _THREADS, arguments)
    return found


def _curves(
    engine: Engine, given: tuple[Any, Struct, Struct, Any], tiles: int, limits: tuple[int, int]
) -> Any:
    """The curve of every tile, float32 ``(tiles, bins)``; ``limits`` are its voxels and the most in a bin."""
    voxels, most = limits
    bins = given[-1]
    counts = engine.xp.zeros((tiles, int(bins)), np.uint64)
    grid = -(-voxels // _SHARE), min(tiles, MOST_GRID)
    engine.launch("clahe", "tile_counts", grid, _COUNTING, (*given, counts))
    curves = engine.xp.empty(counts.shape, np.float32)
    numbers = bins, np.int32(voxels), np.int32(most), np.float64(HIGHEST / voxels)
    engine.launch("clahe", "tile_curves", (tiles,), 32, (counts, *numbers, curves))
    return curves


def _places(engine: Engine, length: int, step: int) -> tuple[Any, ...]:
    """Of the voxels along an axis: the tile whose centre lies behind, and the way from that before."""

    def made() -> Any:
        behind, shares = places(length, step)
        return behind.astype(np.int32), shares

    return engine.tables.get(("tiles", length, step), made)
