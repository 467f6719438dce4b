"""Rows of interpolation weights built directly as bands, in float64: time and memory ∝ outputs.

Each row starts as the spline's weights on an endless line of voxels; the boundary rule then folds the
line's indices into the axis. This is exact for both prefilters: a mirrored line stays mirrored.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Boundary = Literal["nearest", "mirror"]
Index = NDArray[np.int64]
Table = NDArray[np.float64]

_POLE = math.sqrt(3) - 2  # of the cubic B-spline prefilter; weights fall by 0.268 a voxel
_REACH = 27  # voxels from the centre beyond which a cubic weight is below 1e-15
_PADDING = 12  # SciPy's edge padding before a 'nearest' prefilter
_TRUNCATE = 4.0  # the Gaussian ends at this many sigma, as in scipy.ndimage


class Band(NamedTuple):
    """Rows of weights on consecutive integers from ``start``, not yet confined to an axis."""

    start: Index
    weights: Table


def interpolate(
    coordinates: Table, n: int, interpolation: Literal["linear", "cubic"], boundary: Boundary
) -> Band:
    """The rows that evaluate an axis of ``n`` voxels at the coordinates."""
    if boundary == "nearest":  # beyond SciPy's padding the line is constant
        coordinates = np.clip(coordinates, -float(_PADDING), float(n - 1 + _PADDING))
    below = floor(coordinates)
    t = coordinates - below
    if interpolation == "linear":
        return fold(Band(below, np.stack([1 - t, t], 1)), n, boundary)
    band = Band(below - _REACH, _spline(t))
    return fold(band, n, boundary, padding=_PADDING if boundary == "nearest" else 0)


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


def smooth(band: Band, sigma: float) -> Band:
    """Rows convolved with a Gaussian: smoothing first, then the band."""
    radius = int(_TRUNCATE * sigma + 0.5)
    gauss = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    gauss /= gauss.sum()
    m, width = band.weights.shape
    weights = np.zeros((m, width + 2 * radius))
    for k in range(width):
        weights[:, k : k + len(gauss)] += band.weights[:, k, None] * gauss
    return Band(band.start - radius, weights)


def fold(band: Band, n: int, boundary: Boundary, *, padding: int = 0) -> Band:
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
    return Band(start, np.asarray(weights.reshape(m, width), np.float64))


def trim(band: Band, n: int, dropped: float) -> Band:
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
    return Band(start, kept)


def floor(values: Table) -> Index:
    return np.floor(values).astype(np.int64)
