"""The last axis of an array as products with small dense blocks, and where it can be as one product.

A narrow band makes the same block over and over: blocks of equal length over windows of equal length
and distance are a strided view of the input times a stack of matrices. That is one call; a call per
block costs as much again, and threads would queue for the interpreter between the calls. Wide bands,
whose windows the edges push together, and the last few outputs go block by block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import AxisWeights, product

Array = NDArray[Any]

_BLOCK = 16  # outputs per product: one vector register, and small enough for BLAS to skip packing
_LENGTHS = range(8, _BLOCK + 1)  # of blocks in one product
_WORTH = 1.5  # times the multiplications, for one call in place of many


class Columns:
    """Resamples the last axis of float32 arrays."""

    def __init__(self, axis: AxisWeights) -> None:
        found = [spacing for length in _LENGTHS if (spacing := _spacing(axis, length))]
        best = min(found, key=lambda spacing: spacing.cost, default=None)
        worth = best is not None and best.cost < _WORTH * _cost(axis)
        self._windows = _Windows(axis, best) if best and worth else None
        done = best.blocks * best.length if best and worth else 0
        rest = [axis.block(o, min(o + _BLOCK, axis.m)) for o in range(done, axis.m, _BLOCK)]
        self._rest = [(block, np.ascontiguousarray(block.matrix.T)) for block in rest]

    def __call__(self, values: Array, out: Array) -> None:
        """Write the products; ``values`` are C-contiguous, ``out`` has any strides."""
        if self._windows:
            self._windows.multiply(values, out)
        for block, matrix in self._rest:
            part = values[..., block.in_start : block.in_stop]
            product(part, matrix, out=out[..., block.out_start : block.out_stop])


def _cost(axis: AxisWeights) -> float:
    """Multiplications per output in separate blocks."""
    return (axis.weights.shape[1] + _BLOCK * axis.n / axis.m) / _BLOCK


class _Spacing(NamedTuple):
    """Blocks of ``length`` outputs; block ``k`` reads ``width`` inputs from ``start + k * step`` on."""

    start: int
    step: int
    width: int
    length: int
    blocks: int

    @property
    def cost(self) -> float:
        """Multiplications per output."""
        return self.width / self.length


def _spacing(axis: AxisWeights, length: int) -> _Spacing | None:
    """As many whole blocks as windows inside the axis can serve; None if not even one."""
    whole = axis.start[: axis.m // length * length].reshape(-1, length)
    lows, highs = whole.min(1), whole.max(1) + axis.weights.shape[1]
    for count in range(len(whole), 0, -1):
        start, index = int(lows[0]), np.arange(count)
        step = int(((lows[1:count] - start) // index[1:]).min()) if count > 1 else 0
        width = int((highs[:count] - start - index * step).max())
        if step >= 0 and start + (count - 1) * step + width <= axis.n:
            return _Spacing(start, step, width, length, count)
    return None


class _Windows:
    """The product of evenly spaced windows with the blocks they belong to."""

    def __init__(self, axis: AxisWeights, spacing: _Spacing) -> None:
        self._spacing = spacing
        start, step, width, length, count = spacing
        self._matrices = np.zeros((count, width, length), np.float32)
        for k, matrix in enumerate(self._matrices):
            block = axis.block(k * length, (k + 1) * length)
            first = block.in_start - start - k * step
            matrix[first : first + block.in_stop - block.in_start] = block.matrix.T

    def multiply(self, values: Array, out: Array) -> None:
        start, step, width, length, count = self._spacing
        *outer, column = values.strides
        shape = (count, *values.shape[:-1], width)
        strides = (step * column, *outer, column)
        windows: Array = np.ndarray(shape, values.dtype, values, start * column, strides)
        blocks = out[..., : count * length].reshape(*out.shape[:-1], count, length)
        matrices = self._matrices.reshape(count, *[1] * (values.ndim - 2), width, length)
        product(windows, matrices, out=np.moveaxis(blocks, -2, 0))
