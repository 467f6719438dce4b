"""Curves on a device: integers of at most 16 bits looked up, other voxels by their segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuprep.kernels.loader import NULL, Engine
from gpuprep.ops.curve import Curve
from gpuprep.ops.device.arguments import as_numbers, lengths_of, point_grid, source_name, strides_of
from gpuprep.ops.gather import memory_order
from gpuprep.ops.segments import Segments

_THREADS = 128
_FIELDS = ("low", "high", "first"), ("base", "shift", "buckets", "hops")
_CURVE = np.dtype([*((name, "f4") for name in _FIELDS[0]), *((name, "i4") for name in _FIELDS[1])])


def curved_device(engine: Engine, array: Any, curve: Curve, mask: Any = None) -> Any:
    """A new float32 array: ``curve`` of every voxel, NaN where that is not finite.

    With a mask (bool or uint8) of the array's shape, voxels outside it and those that are not finite are 0.
    Within 2e-6 of the range of ``curve.apply``.

    Raises:
        TypeError: a dtype that no kernel reads.
    """
    voxels = as_numbers(array)
    order = memory_order(voxels)
    shape = [voxels.shape[axis] for axis in order]
    out = engine.xp.empty(tuple(shape), np.float32).transpose(
        [order.index(axis) for axis in range(3)]
    )
    name, tables = _with_tables(engine, voxels.dtype, curve)
    flags = (NULL, strides_of(voxels, order))
    if mask is not None:
        flags = (as_numbers(mask), strides_of(as_numbers(mask), order))
    given = voxels, strides_of(voxels, order), lengths_of(shape)
    arguments = (*given, *tables, *flags, out, strides_of(out, order))
    engine.launch("curve", name, point_grid(shape, _THREADS), _THREADS, arguments)
    return out


def _with_tables(engine: Engine, dtype: np.dtype[Any], curve: Curve) -> tuple[str, Sequence[Any]]:
    """The kernel for a stored type, and what it takes of the curve."""
    name = source_name(dtype)
    if dtype.itemsize <= 2:
        table = curve.looked_up(dtype, np.dtype(np.float32))
        return f"looked_up_{name}", [engine.xp.asarray(table)]
    if dtype == np.float32:
        found = curve.segments
        knots, starts = found.knots, found.knots.starts.astype(np.int32)
        each = starts, knots.x, found.y, found.slopes, knots.following
        return "segmented_float32", [_constants(found), *map(engine.xp.asarray, each)]
    x, y, slopes = curve.straight_parts()
    ends = np.float64(curve.low), np.float64(curve.high), np.int32(len(x))
    return f"bisected_{name}", [*ends, *map(engine.xp.asarray, (x, y, slopes))]


def _constants(found: Segments) -> Any:
    knots = found.knots
    numbers = knots.base, knots.shift, len(knots.starts), knots.hops
    return np.array([(*found.ends, knots.x[0], *numbers)], _CURVE)
