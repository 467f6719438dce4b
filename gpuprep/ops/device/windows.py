"""Axes cut in blocks of neighbouring outputs, as window.cuh has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import AxisWeights
from gpuprep.ops.device.arguments import Struct

_FOUR = 4  # outputs of a group
_UNFELT = 2.0**-26  # of a sum of weights, which is 1
_NONE = 1 << 30  # in place of an input
_WINDOW = np.dtype(
    [(name, "i4") for name in ("outputs", "inputs", "blocks", "length")]
    + [("begin", "i4", 3), ("end", "i4", 3)]
)


@dataclass(frozen=True, eq=False)
class Windows:
    """A band in blocks of equal length, as ``Window`` in window.cuh has it.

    Attributes:
        first: int32, the first input of each block; may lie before the axis.
        weights: float32 ``(blocks, length, outputs of a block)``.
        sizes: the kernel's ``Window``.
    """

    first: NDArray[np.int32]
    weights: NDArray[np.float32]
    sizes: Struct

    @property
    def blocks(self) -> int:
        return len(self.first)

    @property
    def margins(self) -> tuple[int, int]:
        """How many inputs windows reach before the first of the axis, and beyond the last."""
        length, inputs = (int(self.sizes[name][0]) for name in ("length", "inputs"))
        beyond = int(self.first.max()) + length - inputs
        return max(0, -int(self.first.min())), max(0, beyond)


@lru_cache(maxsize=64)
def windows_of(axis: AxisWeights, outputs: int) -> Windows:
    """The windows of an axis: groups of four outputs lie at the same place in every block's."""
    blocks = -(-axis.m // outputs)
    kept = _felt(axis.weights)
    groups = np.full((2, blocks * outputs), _NONE)  # outputs beyond the axis need nothing
    groups[0, : axis.m] = axis.start + kept.argmax(axis=1)
    groups[1, : axis.m] = kept[:, ::-1].argmax(axis=1) - axis.start - kept.shape[1]
    low, high = groups.reshape(2, blocks, -1, _FOUR).min(axis=3)
    high = -high
    begin = _usual(low)
    first = (low - begin).min(axis=1)
    end = np.maximum.accumulate((high - first[:, None]).max(axis=0))
    begin = np.minimum(begin, end[0])
    weights = np.zeros((blocks, int(end[-1]), outputs), np.float32)
    row, k = np.nonzero(kept)
    block = row // outputs
    weights[block, axis.start[row] + k - first[block], row % outputs] = axis.weights[row, k]
    three = np.zeros((2, 3), np.int32)
    three[0, : len(begin) - 1], three[1, : len(end) - 1] = begin[1:], end[:-1]
    sizes = np.array([(axis.m, axis.n, blocks, int(end[-1]), three[0], three[1])], _WINDOW)
    return Windows(first.astype(np.int32), weights, sizes)


def _felt(weights: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which weights count: not those at the ends of a row that float32 sums would not notice.

    Rows at a border have such where others have their first and last weights.
    """
    size = np.abs(weights)
    above, below = np.cumsum(size, axis=1), np.cumsum(size[:, ::-1], axis=1)[:, ::-1]
    felt: NDArray[np.bool_] = (above > _UNFELT) & (below > _UNFELT)
    return felt


def _usual(low: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far groups lie behind the first in most blocks, ascending; at the borders they lie closer."""
    far = [0]
    for group in low.T:
        behind = (group - low[:, 0])[group < _NONE]
        far.append(max(far[-1], int(np.median(behind)) if len(behind) else 0))
    return np.array(far[1:])
