"""Which voxels outputs are made of, axis by axis: of a whole volume, or of a part computed by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Axes, AxisWeights
from gpuprep.ops.gather import memory_order
from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Shape


@dataclass(frozen=True)
class Part:
    """Some neighbouring outputs along one axis, computed from the slices of input that they need.

    Parts hold the same bytes as the whole when the axis is the slowest of the whole in memory
    (``ops.gather.memory_order``), and the slices lie in memory as they do in the whole.

    Attributes:
        shape: of the whole input, ``z, y, x``.
        axis: 0, 1 or 2.
        start, stop: half-open range of output indices.
    """

    shape: Shape
    axis: int
    start: int
    stop: int

    def inputs(self, how: Resampling) -> slice:
        """The input slices along the axis that the outputs need."""
        axis = how.axes(self.shape)[self.axis]
        return slice(*_rows(axis, self.start, self.stop, 0, axis.n).used)

    def cut(self, axes: Axes, inputs: slice) -> Axes:
        """The weights of the outputs over those inputs alone."""
        length = inputs.stop - inputs.start
        own = _rows(axes[self.axis], self.start, self.stop, inputs.start, length)
        z, y, x = (own if axis == self.axis else axes[axis] for axis in range(3))
        return z, y, x


@lru_cache(maxsize=256)
def _rows(axis: AxisWeights, start: int, stop: int, first: int, length: int) -> AxisWeights:
    """Some rows of a matrix over ``length`` voxels from ``first`` on."""
    if not 0 <= start < stop <= axis.m:
        raise ValueError(f"outputs {start} … {stop - 1} are not in a grid of {axis.m}")
    rows = slice(start, stop)
    return AxisWeights(length, stop - start, axis.start[rows] - first, axis.weights[rows])


@dataclass(frozen=True, eq=False)
class Sampling:
    """The weights of a volume's axes, and the order in which they are used.

    Attributes:
        axes: weights over the voxels that are there, ``z, y, x``.
        order: the axes from the slowest to the fastest in memory.
        passes: places in ``order`` of the axes that banded passes resample, in turn; those of the whole.
        origin: index of the first voxel in the whole volume.
    """

    axes: Axes
    order: tuple[int, int, int]
    passes: tuple[int, ...]
    origin: tuple[int, ...] = (0, 0, 0)

    @classmethod
    def of(cls, array: Any, how: Resampling, part: Part | None) -> Sampling:
        """For all outputs, or those of a part of which ``array`` holds the needed slices.

        Raises ValueError where it holds others.
        """
        order = memory_order(array)
        axes = how.axes(array.shape if part is None else part.shape)
        if part is None:
            return cls(axes, order, _pass_order([axes[axis] for axis in order]))
        inputs = part.inputs(how)
        needed = list(part.shape)
        needed[part.axis] = inputs.stop - inputs.start
        if array.shape != tuple(needed):
            raise ValueError(
                f"the part needs slices {inputs.start} … {inputs.stop - 1}, that is "
                f"{tuple(needed)} voxels; got {array.shape}"
            )
        b, c = (axis for axis in order if axis != part.axis)
        order = part.axis, b, c
        passes = _pass_order([axes[axis] for axis in order])
        origin = tuple(inputs.start if axis == part.axis else 0 for axis in range(3))
        return cls(part.cut(axes, inputs), order, passes, origin)

    @property
    def ordered(self) -> Axes:
        """The weights in memory order."""
        a, b, c = (self.axes[axis] for axis in self.order)
        return a, b, c

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the outputs, ``z, y, x``."""
        return tuple(axis.m for axis in self.axes)

    def picks(self, axis: int) -> NDArray[np.int32]:
        """The slice of the whole volume that each output along an axis begins with."""
        return self.axes[axis].start + np.int32(self.origin[axis])

    def reach(self) -> int:
        """The most input voxels along any axis that one output is made of."""
        return max(axis.weights.shape[1] for axis in self.axes)


def _pass_order(ordered: Sequence[AxisWeights]) -> tuple[int, ...]:
    """The axes to resample, at least two: what shrinks most comes first, the fastest axis never last.

    Rows and columns come before slices even where these shrink more, up to four times: one kernel does both,
    and the volume between is then the only one.
    """
    mixing = [axis for axis in (2, 1, 0) if not ordered[axis].identity]
    if len(mixing) < 2:  # one more, to read in one pass and write in another
        mixing.append(next(axis for axis in (1, 0) if axis not in mixing))
    ratios = [axis.m / axis.n for axis in ordered]
    mixing.sort(key=lambda axis: ratios[axis])
    if len(mixing) == 3 and 4 * ratios[0] > ratios[1] * ratios[2]:
        return 1, 2, 0
    if mixing[-1] == 2:
        mixing[-2:] = mixing[:-3:-1]
    return tuple(mixing)
