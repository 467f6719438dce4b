"""Filters of neighbouring voxels with every number decided, and what NumPy makes of them.

``ops.device.filters`` makes the same on a device. Both see a whole volume at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.ops.clahe import clahe
from gpuprep.ops.median import median
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.geometry import Shape, Triple
from gpuprep.values.grids import GridMapping

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Smoothing:
    """A Gaussian by ``scipy.ndimage.gaussian_filter``'s rule of mode 'nearest', in float32.

    It is a resampling onto the same grid: its axes are banded matrices.

    Attributes:
        sigmas: standard deviations along z, y, x, in voxels.
    """

    sigmas: Triple

    def on(self, shape: Shape) -> Resampling:
        """As a resampling of a volume."""
        return Resampling(GridMapping(shape), sigmas=self.sigmas)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The median of the cube of ``size`` voxels about each, 3 or 5; keeps the dtype."""

    size: int


@dataclass(frozen=True, slots=True)
class Equalizing:
    """CLAHE, as float32 from 0 to 1 (see ``ops.clahe``).

    Attributes:
        tile: voxels of a tile along z, y, x.
        ends: what counts as black and as white; the smallest and largest voxel where None. Zeros come of a
            volume where both are equal.
    """

    tile: Shape
    clip_limit: float
    bins: int
    ends: tuple[float, float] | None = None


Filter = Smoothing | Ranking | Equalizing


def result_dtype(step: Filter, given: DTypeLike) -> np.dtype[Any]:
    """The dtype of what a filter makes of a volume."""
    return np.dtype(given) if isinstance(step, Ranking) else np.dtype(np.float32)


def filtered(array: Array, step: Filter, out: Array, threads: int = 1) -> Array:
    """``out``, of the shape and of ``result_dtype``, with what a filter makes of finite voxels."""
    match step:
        case Smoothing():
            return resample(array, step.on(array.shape), threads=threads, out=out)
        case Ranking():
            return median(array, step.size, threads=threads, out=out)
        case Equalizing():
            ends = step.ends or (float(array.min()), float(array.max()))
            if ends[0] == ends[1]:
                out.fill(0)
                return out
            return clahe(
                array,
                step.tile,
                ends,
                clip_limit=step.clip_limit,
                bins=step.bins,
                threads=threads,
                out=out,
            )
