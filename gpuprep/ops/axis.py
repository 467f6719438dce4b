"""One axis of a resampling as a banded matrix: ``out[o] = Σ_k weights[o, k] · in[start[o] + k]``.

Everything that is linear along an axis is folded in on the host, in float64: interpolation, B-spline
prefilter, boundary rule, anti-alias Gaussian. The same table drives NumPy and CUDA, so they cannot
disagree about a convention. The rows are built in ``band``.

Conventions: linear and cubic ``nearest`` are SciPy's mode 'nearest' (cubic: 12 voxels of edge padding,
then a half-sample symmetric prefilter), linear ``nearest`` and cubic ``mirror`` are ITK's sitkLinear
and sitkBSpline; nearest is ``floor(c + ½)`` clamped. Coordinates are rounded to 2⁻³² voxel, so that
those meant to be whole or tied are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.band import Band, Boundary, Table, floor, fold, interpolate, smooth, trim

Array = NDArray[Any]

Interpolation = Literal["nearest", "linear", "cubic"]

Axes = tuple["AxisWeights", "AxisWeights", "AxisWeights"]

_DROPPED = 1e-7  # weight a row may lose at its ends; given back to its largest weight
_SNAP = 2.0**32


class Block(NamedTuple):
    """Rows ``out_start:out_stop`` of an axis as a dense float32 matrix over an input range."""

    out_start: int
    out_stop: int
    in_start: int
    in_stop: int
    matrix: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """The banded matrix from ``n`` input voxels to ``m`` output voxels.

    Attributes:
        start: int32 ``(m,)``, the first input voxel of each row; ``start + K <= n``.
        weights: float64 ``(m, K)``; every row sums to 1.
    """

    n: int
    m: int
    start: NDArray[np.int32]
    weights: Table

    @cached_property
    def indices(self) -> NDArray[np.intp] | None:
        """Per output voxel the one input voxel it copies; None where any output is a mixture."""
        return self.start.astype(np.intp) if self.weights.shape[1] == 1 else None

    @cached_property
    def identity(self) -> bool:
        """Whether the output is the input, voxel for voxel."""
        picks = self.indices
        return picks is not None and self.n == self.m and bool((picks == np.arange(self.n)).all())

    @cached_property
    def used(self) -> tuple[int, int]:
        """Half-open range of the input voxels that any output needs."""
        return int(self.start.min()), int(self.start.max()) + self.weights.shape[1]

    def blocks(self, rows: int = 32) -> list[Block]:
        """Runs of ``rows`` outputs for products with dense matrices."""
        return [self.block(o, min(o + rows, self.m)) for o in range(0, self.m, rows)]

    def block(self, out_start: int, out_stop: int) -> Block:
        """The dense matrix of some neighbouring rows."""
        start, weights = self.start[out_start:out_stop], self.weights[out_start:out_stop]
        low, high = int(start.min()), int(start.max()) + weights.shape[1]
        matrix = np.zeros((len(start), high - low), np.float32)
        columns = (start - low)[:, None] + np.arange(weights.shape[1])
        matrix[np.arange(len(start))[:, None], columns] = weights
        return Block(out_start, out_stop, low, high, matrix)


@lru_cache(maxsize=256)
def axis_weights(
    n: int,
    m: int,
    scale: float,
    offset: float,
    interpolation: Interpolation = "linear",
    boundary: Boundary = "nearest",
    sigma: float = 0.0,
) -> AxisWeights:
    """The weights that evaluate an axis of ``n`` voxels at ``o * scale + offset`` for ``o < m``.

    >>> pairs = axis_weights(4, 2, scale=2.0, offset=0.5)  # the means of voxels 0, 1 and 2, 3
    >>> pairs.start.tolist(), pairs.weights.tolist()
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]])

    Args:
        sigma: standard deviation, in input voxels, of a Gaussian applied before sampling
            (see ``antialias_sigma``); ignored for nearest.

    The result is cached and shared; its arrays are read-only.
    """
    if n < 1 or m < 1:
        raise ValueError(f"an axis of {n} voxels cannot be resampled to {m}")
    coordinates = snapped(m, scale, offset)
    if interpolation == "nearest":
        band = Band(np.clip(floor(coordinates + 0.5), 0, n - 1), np.ones((m, 1)))
    else:
        band = interpolate(coordinates, n, interpolation, boundary)
        if sigma > 0:
            band = fold(smooth(band, sigma), n, boundary)
        exact = interpolation == "linear" and sigma <= 0
        band = trim(band, n, 0.0 if exact else _DROPPED)
    start = band.start.astype(np.int32)
    start.flags.writeable = band.weights.flags.writeable = False
    return AxisWeights(n, m, start, band.weights)


def product(left: Array, right: Array, out: Array) -> None:
    """``left @ right`` into ``out``, for matrices, or stacks of them, of finite values.

    OpenBLAS 0.3.31's product of 4k + 2 or 4k + 3 rows of five float32 with one column (AVX-512) also
    multiplies lanes of the stack that it does not use. The result is right, but what lies there may
    be a signalling NaN, and NumPy would warn of it.
    """
    with np.errstate(invalid="ignore"):
        np.matmul(left, right, out=out)


def antialias_sigma(scale: float) -> float:
    """Gaussian, in input voxels, before sampling every ``scale`` voxels; 0 where nothing is lost.

    >>> antialias_sigma(1.0), round(antialias_sigma(2.0), 3)
    (0.0, 0.736)

    Cardoso et al. 2015 (MICCAI, "Scale factor point spread function matching"), as TorchIO has it.
    """
    return math.sqrt(max(0.0, scale * scale - 1)) / (2 * math.sqrt(2 * math.log(2)))


def snapped(m: int, scale: float, offset: float) -> Table:
    """Input coordinates of ``m`` outputs, rounded to 2⁻³² voxel."""
    coordinates = np.arange(m) * float(scale) + float(offset)
    if not np.isfinite(coordinates).all() or np.abs(coordinates).max() > 2**30:
        raise ValueError(f"scale {scale} and offset {offset} lead out of any grid")
    return np.asarray(np.round(coordinates * _SNAP) / _SNAP)
