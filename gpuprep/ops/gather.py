"""Moving voxels without computing: nearest neighbour, crops, strides, and grids that coincide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Axes, AxisWeights
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.parallel import Threads

Array = NDArray[Any]

_VOXELS = 1 << 21  # of a run of planes that waits to be written
_FEWEST = 16  # planes of a run


def memory_order(array: Array) -> tuple[int, int, int]:
    """The axes of a 3-D array from the slowest to the fastest in memory; single voxels are fastest."""
    steps = [abs(s) if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True)]
    a, b, c = sorted(range(3), key=lambda axis: -steps[axis])
    return a, b, c


def gather(array: Array, axes: Axes, out: Array, step: Pointwise, pool: Threads) -> None:
    """Write ``step`` of the voxels that the axes pick (every axis has ``indices``)."""
    order = memory_order(array)
    source, target = array.transpose(order), out.transpose(order)
    slices, rows, columns = (axes[axis] for axis in order)
    in_order = memory_order(target)[0] == 0

    def run(part: slice) -> None:
        planes = target[part] if in_order else np.empty(target[part].shape, target.dtype)
        picks = _indices(slices)[part].tolist()
        for k, pick in enumerate(picks):
            if k and pick == picks[k - 1]:
                planes[k] = planes[k - 1]
            else:
                step.apply(_pick(_pick(source[pick], rows, 0), columns, 1), out=planes[k])
        if not in_order:
            target[part] = planes

    height = max(_FEWEST, _VOXELS // (rows.m * columns.m))
    pool.map(run, [slice(k, min(k + height, slices.m)) for k in range(0, slices.m, height)])


def _indices(axis: AxisWeights) -> NDArray[np.intp]:
    if axis.indices is None:
        raise ValueError("an axis that mixes voxels cannot be gathered")
    return axis.indices


def _pick(plane: Array, axis: AxisWeights, dimension: int) -> Array:
    return plane if axis.identity else plane.take(_indices(axis), dimension)
