"""Medians of cubes on a device: the same values as ``gpuprep.ops.median`` gives, whatever the dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import MOST_GRID, as_numbers, lengths_of, strides_of
from gpuprep.ops.gather import memory_order
from gpuprep.values.geometry import Box

_ROWS, _COLUMNS = 4, 32  # of a block, as in median.cu
_SLICES = 2  # of a thread
_NAMES = {3: "three", 5: "five"}
_ORDERS = {"u": 0, "i": 1, "f": 2}


def median_device(
    engine: Engine, array: Any, size: int, *, part: Box | None = None, out: Any = None
) -> Any:
    """``ops.median.median`` on the engine's arrays: a new array of the same dtype, equal value by value.

    Args:
        array: 3-D (z, y, x), of any strides; bool, whole numbers, or floating ones without NaN, in native
            byte order.
        size: 3 or 5.
        part: the voxels whose medians are wanted; those of all where it is left out. Of a volume in slabs,
            a slab with ``size // 2`` planes more on either side (fewer at the volume's ends) gives what
            the whole gives.
        out: where the result goes; of the part's shape and the array's dtype, apart from it in memory.

    Raises:
        TypeError: a dtype that no kernel reads.
    """
    if size not in _NAMES:
        raise ValueError(f"a median goes over 3 or 5 voxels, not {size}")
    if array.dtype.kind not in "biuf" or not array.dtype.isnative or array.itemsize > 8:
        raise TypeError(f"kernels order native numbers of 8 bytes at most, not {array.dtype}")
    wanted = [range(n)[one] for n, one in zip(array.shape, part or 3 * (slice(None),), strict=True)]
    shape = [len(each) for each in wanted]
    order = memory_order(array)
    if out is None:
        turned = engine.xp.empty(tuple(shape[axis] for axis in order), array.dtype)
        out = turned.transpose([order.index(axis) for axis in range(3)])
    bits = np.dtype(f"u{array.itemsize}")
    slices, rows, columns = (shape[axis] for axis in order)
    grid = (
        -(-columns // _COLUMNS),
        min(-(-rows // _ROWS), MOST_GRID),
        min(-(-slices // _SLICES), MOST_GRID),
    )
    numbers = as_numbers(array)
    arguments = (
        numbers.view(bits),
        strides_of(array, order),
        lengths_of([array.shape[axis] for axis in order]),
        lengths_of([wanted[axis].start for axis in order]),
        np.int32(_ORDERS[numbers.dtype.kind]),
        as_numbers(out).view(bits),
        strides_of(out, order),
        lengths_of((slices, rows, columns)),
    )
    engine.launch("median", f"median_{_NAMES[size]}_{bits.name}", grid, _ROWS * _COLUMNS, arguments)
    return out
