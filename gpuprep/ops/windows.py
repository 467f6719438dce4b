"""An axis as dense blocks over evenly spaced windows of its input: the last axis in one product.

Blocks of equal length over windows of equal length and distance are a strided view of the input times
a stack of matrices. That is one call; a call per block costs as much again, and threads would queue
for the interpreter between the calls. Few outputs at the end that do not fit go by a block of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import AxisWeights, Block

Array = NDArray[Any]

_LENGTHS = range(8, 17)  # outputs of a block: up to one vector register


class Columns:
    """Resamples the last axis of float32 arrays."""

    def __init__(self, axis: AxisWeights) -> None:
        found = [windows for length in _LENGTHS if (windows := _spread(axis, length))]
        self._windows = min(found, key=lambda windows: windows.cost, default=None)
        done = self._windows.outputs if self._windows else 0
        self._rest = axis.block(done, axis.m) if done < axis.m else None

    def __call__(self, values: Array, out: Array) -> None:
        """Write the products; ``values`` are C-contiguous, ``out`` has any strides."""
        if self._windows:
            self._windows.multiply(values, out)
        if self._rest:
            part = values[..., self._rest.in_start : self._rest.in_stop]
            np.matmul(part, self._rest.matrix.T, out=out[..., self._rest.out_start :])


@dataclass(frozen=True, eq=False)
class _Windows:
    """The first outputs of an axis, block by block; window ``k`` begins at ``start + k * step``."""

    start: int
    step: int
    matrices: NDArray[np.float32]
    """Block, input of its window, output of the block."""

    @property
    def outputs(self) -> int:
        return self.matrices.shape[0] * self.matrices.shape[2]

    @property
    def cost(self) -> float:
        """Multiplications per output."""
        return self.matrices.shape[1] / self.matrices.shape[2]

    def multiply(self, values: Array, out: Array) -> None:
        count, width, length = self.matrices.shape
        *outer, column = values.strides
        taken: Array = np.ndarray(
            (count, *values.shape[:-1], width),
            values.dtype,
            values,
            self.start * column,
            (self.step * column, *outer, column),
        )
        blocks = out[..., : count * length].reshape(*out.shape[:-1], count, length)
        matrices = self.matrices.reshape(count, *[1] * (values.ndim - 2), width, length)
        np.matmul(taken, matrices, out=np.moveaxis(blocks, -2, 0))


def _spread(axis: AxisWeights, length: int) -> _Windows | None:
    """As many whole blocks of ``length`` outputs as windows inside the axis can serve."""
    blocks = [axis.block(o, o + length) for o in range(0, axis.m - length + 1, length)]
    while blocks:
        start, step, width = _spacing(blocks)
        if start + (len(blocks) - 1) * step + width <= axis.n:
            matrices = np.zeros((len(blocks), width, length), np.float32)
            for k, block in enumerate(blocks):
                first = block.in_start - start - k * step
                matrices[k, first : first + block.in_stop - block.in_start] = block.matrix.T
            return _Windows(start, step, matrices)
        blocks.pop()
    return None


def _spacing(blocks: list[Block]) -> tuple[int, int, int]:
    """Start, distance and length of windows that hold the inputs of every block."""
    start = blocks[0].in_start
    step = min(((b.in_start - start) // k for k, b in enumerate(blocks[1:], 1)), default=0)
    return start, step, max(b.in_stop - start - k * step for k, b in enumerate(blocks))
