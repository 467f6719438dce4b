"""Voxels of a device's array on the host, whatever its strides, without a kernel of the array library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import as_numbers, lengths_of, point_grid, strides_of
from gpuprep.ops.gather import memory_order

_THREADS = 128


def fetch(engine: Engine, array: Any) -> NDArray[Any]:
    """A 3-D array on the host; one that has gaps in memory is packed on the device first."""
    order = memory_order(array)
    forward = tuple(slice(None, None, -1 if step < 0 else 1) for step in array.strides)
    packed = array[forward].transpose(order)
    if not packed.flags.c_contiguous:
        packed = picked(engine, packed, [range(length) for length in packed.shape])
    host: NDArray[Any] = engine.to_host(packed)
    return host.transpose(np.argsort(order).tolist())[forward]


def picked(engine: Engine, array: Any, picks: Sequence[Sequence[int]]) -> Any:
    """A new C-contiguous array of the voxels at some indices of each of three axes."""
    voxels = as_numbers(array)
    bits = np.dtype(f"u{voxels.itemsize}")
    shape = tuple(len(each) for each in picks)
    out = engine.xp.empty(shape, bits)
    arguments = (
        voxels.view(bits),
        strides_of(voxels),
        *(engine.xp.asarray(np.array(each, np.int32)) for each in picks),
        lengths_of(shape),
        out,
        strides_of(out),
    )
    engine.launch("labels", f"copy_{bits.name}", point_grid(shape, _THREADS), _THREADS, arguments)
    return out.view(array.dtype)
