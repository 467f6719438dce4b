"""Filters of neighbouring voxels on a device: what ``ops.filters`` makes, within 2e-6 of the range.

What a filter gives is C-contiguous, ``z, y, x``, as NumPy's is, whatever the order of what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import as_numbers
from gpuprep.ops.device.clahe import clahe_device, curve_bytes, is_too_large
from gpuprep.ops.device.median import median_device
from gpuprep.ops.device.pointwise import cleaned_device, restore_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device, value_range_device
from gpuprep.ops.filters import Equalizing, Filter, Ranking, Smoothing, result_dtype
from gpuprep.values.geometry import Shape

_BETWEEN = 9  # bytes per voxel between the axes of a Gaussian: two float32 volumes, and what fills their rows


def filter_device(engine: Engine, array: Any, steps: Sequence[Filter]) -> Any:
    """A new array, the filters one after another; ``array`` itself where nothing of it is finite.

    Args:
        array: 3-D, of any strides; of a dtype that kernels read. NaN and ±Inf are the smallest finite value
            (+Inf the largest) to their neighbours, and stay what they are.
    """
    voxels = source = as_numbers(array)
    broken = False
    if voxels.dtype.kind == "f":
        values = measure_device(engine, voxels)
        if not values.count:
            return array
        broken = bool(values.nan or values.inf)
        if broken:
            low, high = values.minimum, values.maximum
            voxels = cleaned_device(engine, voxels, low, high, low)
        del values
    for step in steps:
        voxels = _filtered(engine, voxels, step)
    if broken:
        restore_device(engine, source, voxels)
    return voxels


def beyond_kernels(steps: Sequence[Filter]) -> str:
    """What of a chain no kernel does; empty where they do it all."""
    for step in steps:
        if isinstance(step, Equalizing) and is_too_large(step.tile):
            return f"a tile of {' x '.join(map(str, step.tile))} voxels is for the host"
    return ""


def _filtered(engine: Engine, array: Any, step: Filter) -> Any:
    match step:
        case Smoothing():
            return resample_device(engine, array, step.on(array.shape))
        case Ranking():
            out = engine.xp.empty(array.shape, array.dtype)
            return median_device(engine, array, step.size, out=out)
        case Equalizing():
            ends = step.ends or value_range_device(engine, array)
            if ends[0] == ends[1]:
                return engine.xp.zeros(array.shape, np.float32)
            limit, bins = step.clip_limit, step.bins
            return clahe_device(engine, array, step.tile, ends, clip_limit=limit, bins=bins)


def filter_bytes(shape: Shape, dtype: DTypeLike, steps: Sequence[Filter]) -> int:
    """Device memory that filtering takes at most, what is given and the result included."""
    given = np.dtype(dtype)
    voxels, most, first = math.prod(shape), 0, given.itemsize * (1 + (given.kind == "f"))
    for number, step in enumerate(steps):
        made = result_dtype(step, given)
        held = made.itemsize + given.itemsize * (number > 0)
        more = {Smoothing: _BETWEEN, Ranking: 0, Equalizing: 1}[type(step)] * voxels
        if isinstance(step, Equalizing):
            more += curve_bytes(shape, step.tile, step.bins)
        most, given = max(most, held * voxels + more), made
    return first * voxels + most
