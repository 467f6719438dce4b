"""One axis of a resampling as a banded matrix: ``out[o] = Σ_k weights[o, k] · in[start[o] + k]``.

Everything that is linear along an axis is folded in on the host, in float64: interpolation, B-spline
prefilter, boundary rule, anti-alias Gaussian. The same table drives NumPy and CUDA, so they cannot
disagree about a convention. Rows are built directly as bands (time and memory ∝ outputs), from the
spline's weights on an endless line; the boundary rule then folds the line's indices into the axis.

Conventions: linear and cubic ``nearest`` are SciPy's mode 'nearest' (cubic: 12 voxels of edge padding,
then a half-sample symmetric prefilter), linear ``nearest`` and cubic ``mirror`` are ITK's sitkLinear
and sitkBSpline; nearest is ``floor(c + ½)`` clamped. Coordinates are rounded to 2⁻³² voxel, so that
those meant to be whole or tied are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Interpolation = Literal["nearest", "linear", "cubic"]
Boundary = Literal["nearest", "mirror"]
Index = NDArray[np.int64]
Table = NDArray[np.float64]

_DROPPED = 1e-7  # weight a row may lose at its ends; given back to its largest weight
_SNAP = 2.0**32
_POLE = math.sqrt(3) - 2  # of the cubic B-spline prefilter; weights fall by 0.268 a voxel
_REACH = 27  # voxels from the centre beyond which a cubic weight is below 1e-15
_PADDING = 12  # SciPy's edge padding before a 'nearest' prefilter
_TRUNCATE = 4.0  # the Gaussian ends at this many sigma, as in scipy.ndimage


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

    def dense(self) -> Table:
        """The whole matrix, float64 ``(m, n)``; for tests."""
        matrix = np.zeros((self.m, self.n))
        columns = self.start[:, None] + np.arange(self.weights.shape[1])
        np.put_along_axis(matrix, columns.astype(np.int64), self.weights, axis=1)
        return matrix


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

    Args:
        sigma: standard deviation, in input voxels, of a Gaussian applied before sampling
            (see ``antialias_sigma``); ignored for nearest.

    The result is cached and shared; its arrays are read-only.
    """
    if n < 1 or m < 1:
        raise ValueError(f"an axis of {n} voxels cannot be resampled to {m}")
    coordinates = snapped(m, scale, offset)
    if interpolation == "nearest":
        band = _Band(np.clip(_floor(coordinates + 0.5), 0, n - 1), np.ones((m, 1)))
    else:
        band = _interpolate(coordinates, n, interpolation, boundary)
        if sigma > 0:
            band = _fold(_smooth(band, sigma), n, boundary, padding=0)
        exact = interpolation == "linear" and sigma <= 0
        band = _trim(band, n, 0.0 if exact else _DROPPED)
    start = band.start.astype(np.int32)
    start.flags.writeable = band.weights.flags.writeable = False
    return AxisWeights(n, m, start, band.weights)


def antialias_sigma(scale: float) -> float:
    """Gaussian, in input voxels, before sampling every ``scale`` voxels; 0 where nothing is lost.

    Cardoso et al. 2015 (MICCAI, "Scale factor point spread function matching"), as TorchIO has it.
    """
    return math.sqrt(max(0.0, scale * scale - 1)) / (2 * math.sqrt(2 * math.log(2)))


def snapped(m: int, scale: float, offset: float) -> Table:
    """Input coordinates of ``m`` outputs, rounded to 2⁻³² voxel."""
    coordinates = np.arange(m) * float(scale) + float(offset)
    if not np.isfinite(coordinates).all() or np.abs(coordinates).max() > 2**30:
        raise ValueError(f"scale {scale} and offset {offset} lead out of any grid")
    return np.asarray(np.round(coordinates * _SNAP) / _SNAP)


class _Band(NamedTuple):
    """Rows of weights on consecutive integers from ``start``, not yet confined to an axis."""

    start: Index
    weights: Table


def _interpolate(
    coordinates: Table, n: int, interpolation: Interpolation, boundary: Boundary
) -> _Band:
    if boundary == "nearest":  # beyond SciPy's padding the line is constant
        coordinates = np.clip(coordinates, -float(_PADDING), float(n - 1 + _PADDING))
    below = _floor(coordinates)
    t = coordinates - below
    if interpolation == "linear":
        return _fold(_Band(below, np.stack([1 - t, t], 1)), n, boundary, padding=0)
    band = _Band(below - _REACH, _spline(t))
    return _fold(band, n, boundary, padding=_PADDING if boundary == "nearest" else 0)


def _spline(t: Table) -> Table:
    """Cubic interpolation at fraction ``t`` on an endless line: voxels -27 … 28 about the floor.

    The B-spline at four voxels times the impulse response √3·z^|k| of its prefilter.
    """
    u = 1 - t
    taps = np.stack([u**3, 4 - 3 * t * t * (2 - t), 4 - 3 * u * u * (2 - u), t**3], 1) / 6
    distance = np.abs(np.arange(-1, 3)[:, None] - np.arange(-_REACH, _REACH + 2))
    weights = taps @ (math.sqrt(3) * _POLE**distance)
    weights[t == 0] = np.arange(-_REACH, _REACH + 2) == 0  # the voxel itself, free of rounding
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _smooth(band: _Band, sigma: float) -> _Band:
    """Rows convolved with a Gaussian: smoothing first, then the band."""
    radius = int(_TRUNCATE * sigma + 0.5)
    gauss = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    gauss /= gauss.sum()
    m, width = band.weights.shape
    weights = np.zeros((m, width + 2 * radius))
    for k in range(width):
        weights[:, k : k + len(gauss)] += band.weights[:, k, None] * gauss
    return _Band(band.start - radius, weights)


def _fold(band: _Band, n: int, boundary: Boundary, *, padding: int) -> _Band:
    """The band on voxels ``0 … n-1``: indices beyond are moved inside by the boundary rule."""
    m, width = band.weights.shape
    index = band.start[:, None] + np.arange(width)
    if padding:  # reflect about the edges of the padded line, then clamp
        length = n + 2 * padding
        index = (index + padding) % (2 * length)
        index = np.minimum(index, 2 * length - 1 - index) - padding
    if boundary == "mirror":
        period = max(1, 2 * (n - 1))
        index %= period
        index = np.minimum(index, period - index) if n > 1 else index
    np.clip(index, 0, n - 1, out=index)
    start = index.min(1)
    columns = index - start[:, None]
    width = int(columns.max()) + 1
    flat = (np.arange(m)[:, None] * width + columns).ravel()
    weights = np.bincount(flat, band.weights.ravel(), minlength=m * width)
    return _Band(start, weights.reshape(m, width))


def _trim(band: _Band, n: int, dropped: float) -> _Band:
    """The narrowest common band that leaves out at most ``dropped`` per row; row sums become 1."""
    magnitude = np.abs(band.weights)
    first = (np.cumsum(magnitude, 1) <= dropped / 2).sum(1)
    last = band.weights.shape[1] - (np.cumsum(magnitude[:, ::-1], 1) <= dropped / 2).sum(1)
    width = min(n, int((last - first).max()))
    start = np.minimum(band.start + first, n - width)
    columns = (start - band.start)[:, None] + np.arange(width)
    inside = (columns >= 0) & (columns < band.weights.shape[1])
    kept = np.take_along_axis(band.weights, np.clip(columns, 0, band.weights.shape[1] - 1), 1)
    kept[~inside] = 0
    largest = np.abs(kept).argmax(1)
    rows = np.arange(len(kept))
    kept[rows, largest] += 1 - kept.sum(1)
    return _Band(start, kept)


def _floor(values: Table) -> Index:
    return np.floor(values).astype(np.int64)
