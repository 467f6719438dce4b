"""Where kernels write a grid of voxels: an array of its shape, or its chunks one behind another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import STRIDES, Struct, lengths_of, point_grid, strides_of
from gpuprep.ops.pointwise import ClipAffine

_THREADS = 128
_PLACES = np.dtype([("chunks", STRIDES), ("voxels", STRIDES), ("edge", "u4"), ("inverse", "u4")])


@dataclass(frozen=True, eq=False)
class Target:
    """An array of ``shape``, or with ``chunk`` > 0 one of shape ``(⌈z/c⌉, ⌈y/c⌉, ⌈x/c⌉, c, c, c)``.

    Chunks at the border are filled up with zeros, as Zarr stores them.
    """

    array: Any
    shape: tuple[int, ...]
    chunk: int

    @classmethod
    def of(cls, engine: Engine, shape: Sequence[int], dtype: DTypeLike, chunk: int = 0) -> Target:
        """A new array; ValueError where the chunk is 1 or huge."""
        if chunk and (chunk < 2 or max(shape) * chunk >= 1 << 32):
            raise ValueError(f"a grid of {tuple(shape)} cannot be cut in chunks of {chunk} voxels")
        make = engine.xp.empty
        if chunk and any(length % chunk for length in shape):
            make = engine.xp.zeros  # one memset, of chunks whole or not
        array = make(chunked(shape, chunk) if chunk else tuple(shape), dtype)
        return cls(array, tuple(shape), chunk)

    def places(self, order: Sequence[int]) -> Struct:
        """The kernels' ``Places``: the axes z, y, x in the given order."""
        if not self.chunk:
            own = strides_of(self.array, order)[0]
            return np.array([((0, 0, 0), own, 0, 0)], _PLACES)
        chunks = strides_of(self.array, order)[0]
        voxels = strides_of(self.array, [axis + 3 for axis in order])[0]
        inverse = -(-(1 << 32) // self.chunk)
        return np.array([(chunks, voxels, self.chunk, inverse)], _PLACES)

    def fill(self, engine: Engine, step: ClipAffine) -> None:
        """Write the one result of a constant step."""
        bits = np.dtype(f"u{self.array.itemsize}")
        number = step.apply(np.zeros(1, np.float32), self.array.dtype).view(bits)[0]
        arguments = lengths_of(self.shape), number, self.array.view(bits), self.places((0, 1, 2))
        grid = point_grid(self.shape, _THREADS)
        engine.launch("pointwise", f"fill_{bits.name}", grid, _THREADS, arguments)


def chunked(shape: Sequence[int], chunk: int) -> tuple[int, ...]:
    """The shape of an array of chunks that covers a grid."""
    return (*(-(-length // chunk) for length in shape), chunk, chunk, chunk)
