"""Contrast-limited adaptive histogram equalization in three dimensions, in NumPy.

A volume is cut into tiles; each has a curve of its own, the clipped and summed histogram of its voxels. A
voxel goes through the curves of the eight tiles around it, mixed by its distance to their centres. Tiles,
histograms, clipping and mixing are those of ``skimage.exposure.equalize_adapthist`` (0.26), which cuts
results to 16384 levels; here they stay as mixed, so that both differ by less than 1.5e-4.

K. Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994, 474-485.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.parallel import open_threads, split
from gpuprep.values.geometry import Shape

_LEVELS = 1 << 14
HIGHEST = _LEVELS - 1
"""Where curves end."""
_STEPS = 65535
_CORNERS = 4  # numbers of a bilinear patch


def clahe(
    volume: NDArray[Any],
    tile: Shape,
    ends: tuple[float, float],
    *,
    clip_limit: float = 0.01,
    bins: int = 256,
    threads: int = 1,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """A volume with its contrast equalized tile by tile, from 0 to 1.

    Args:
        volume: ``z, y, x``, of any real dtype; NaN counts as the lower end.
        tile: voxels of a tile along each axis.
        ends: values that count as black and white; what is beyond is cut to them.
        clip_limit: the largest share of a tile's voxels that a bin may keep; 0 for no limit.
        bins: of the histograms, at most 256.
        threads: do not change the result.
        out: where the result goes; of the volume's shape.

    Raises:
        ValueError: a tile with no voxel, ends that are not ascending, bins beyond 2 to 256.
    """
    check_histograms(tile, ends, bins)
    found = _binned(volume, ends, bins)
    maps = _tile_maps(found, tile, clip_limit, bins)
    if out is None:
        out = np.empty(volume.shape, np.float32)
    planes = _Planes(found, maps, tile, out)
    with open_threads(threads) as pool:
        reached = pool.map(planes.fill, split(range(volume.shape[0]), threads))
    low, high = min(low for low, _ in reached), max(high for _, high in reached)
    out -= np.float32(low)
    if high > low:
        out *= np.float32(1 / (high - low))
    return out


def check_histograms(tile: Shape, ends: tuple[float, float], bins: int) -> None:
    """Raises ValueError where there is a tile with no voxel, no range, or no number of bins."""
    if min(tile) < 1 or not ends[0] < ends[1] or not 2 <= bins <= 256:
        raise ValueError(f"tile {tile}, ends {ends} and bins {bins} give no histograms")


def _binned(volume: NDArray[Any], ends: tuple[float, float], bins: int) -> NDArray[np.uint8]:
    """The bin of every voxel, by its level among 16384."""
    if volume.dtype.kind in "iub" and volume.dtype.itemsize <= 2:
        curve = bins_by_bits(volume.dtype, ends, bins)
        unsigned = volume.view(f"u{volume.dtype.itemsize}")
        return np.stack([curve.take(plane) for plane in unsigned])
    curve = bins_by_level(bins)
    found = np.empty(volume.shape, np.uint8)
    for target, plane in zip(found, volume, strict=True):
        curve.take(_level(plane, ends), out=target, mode="clip")
    return found


def bins_by_bits(dtype: np.dtype[Any], ends: tuple[float, float], bins: int) -> NDArray[np.uint8]:
    """The bin of every value of a whole dtype of at most 16 bits, at the place that its bits name."""
    limits = np.iinfo(dtype) if dtype.kind != "b" else np.iinfo(np.uint8)
    every = np.arange(limits.min, limits.max + 1)
    curve = np.empty(every.size, np.uint8)
    curve[every] = bins_by_level(bins)[_level(every, ends)]  # negative values count from the end
    return curve


def bins_by_level(bins: int) -> NDArray[np.uint8]:
    """The bin of each of the 65536 levels of ``_level``."""
    share = np.rint(np.arange(_STEPS + 1.0) / _STEPS * (_LEVELS - 1.0)).astype(np.int64)
    return (share // (1 + _LEVELS // bins)).astype(np.uint8)


def _level(values: NDArray[Any], ends: tuple[float, float]) -> NDArray[np.intp]:
    """How far values lie between the ends, in 65535 steps: scikit-image goes by way of 16 bits."""
    share = np.nan_to_num(values.astype(np.float64), nan=ends[0], posinf=ends[1], neginf=ends[0])
    share -= ends[0]
    share /= ends[1] - ends[0]
    np.clip(share, 0.0, 1.0, out=share)
    share *= _STEPS
    return np.rint(share, out=share).astype(np.intp)


def tile_counts(shape: Sequence[int], tile: Shape) -> list[int]:
    """How many tiles lie along each axis; the last may reach beyond."""
    return [-(-length // step) for length, step in zip(shape, tile, strict=True)]


def tile_limits(tile: Shape, clip_limit: float) -> tuple[int, int]:
    """The voxels of a tile, and how many of them one bin may keep."""
    voxels = math.prod(tile)
    return voxels, max(int(clip_limit * voxels), 1) if clip_limit > 0 else voxels


def _tile_maps(
    found: NDArray[np.uint8], tile: Shape, clip_limit: float, bins: int
) -> NDArray[np.float32]:
    """The curve of every tile, ``tiles z, y, x, bins``; the tiles at the border are there twice."""
    voxels, most = tile_limits(tile, clip_limit)
    counts = tile_counts(found.shape, tile)
    maps = np.empty((*counts, bins), np.float32)
    reach = [
        _mirrored(np.arange(count * step), length)
        for count, step, length in zip(counts, tile, found.shape, strict=True)
    ]
    for place in np.ndindex(*counts):
        part = [
            along[k * step : (k + 1) * step]
            for along, k, step in zip(reach, place, tile, strict=True)
        ]
        inside = all(each[0] + each.size - 1 == each[-1] for each in part)
        index = tuple(slice(e[0], e[-1] + 1) for e in part) if inside else np.ix_(*part)
        counted = np.bincount(found[index].reshape(-1), minlength=bins)
        summed = np.cumsum(_limited(counted, most)) * (HIGHEST / voxels)
        maps[place] = np.floor(np.minimum(summed, HIGHEST))
    return np.pad(maps, [(1, 1)] * 3 + [(0, 0)], mode="edge")


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Indices beyond the end, led back as in a mirror that lies on the last voxel."""
    if length == 1:
        return np.zeros_like(index)
    folded = index % (2 * length - 2)
    return np.minimum(folded, 2 * length - 2 - folded)


def _limited(counted: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """A histogram of which no bin has more than ``most``: what is above goes to the others in equal parts."""
    clipped = np.minimum(counted, most)
    left = int(counted.sum() - clipped.sum())
    share = left // counted.size
    filled = np.where(clipped < most - share, clipped + share, clipped)
    filled[filled >= most - share] = most
    left -= int(filled.sum() - clipped.sum())
    while left > 0:
        before = left
        for first in range(filled.size):
            room = filled < most
            step = max(1, int(np.count_nonzero(room)) // left)
            taken = room[first::step]
            filled[first::step] += taken
            left -= int(np.count_nonzero(taken))
            if left <= 0:
                break
        if left == before:  # no bin has room
            break
    return filled


class _Planes:
    """Planes of a volume through the curves of their tiles."""

    def __init__(
        self,
        found: NDArray[np.uint8],
        maps: NDArray[np.float32],
        tile: Shape,
        out: NDArray[np.float32],
    ) -> None:
        self._found, self._maps, self._out = found, maps, out
        self._across, self._bins = maps.shape[2] - 1, maps.shape[3]
        (self._z, self._wz), (y, wy), (x, wx) = (
            places(length, step) for length, step in zip(found.shape, tile, strict=True)
        )
        self._wy, self._wx = wy[:, np.newaxis], wx
        self._first = (y[:, np.newaxis] * self._across + x) * self._bins

    def fill(self, numbers: Sequence[int]) -> tuple[float, float]:
        """Write planes, each bilinear between four corners that are mixed of two layers of tiles.

        One look-up gives a voxel all four numbers of its patch: they lie side by side, as one 16-byte value.
        """
        shape = self._out.shape[1:]
        index, patch = np.empty(shape, np.intp), np.empty((*shape, _CORNERS), np.float32)
        first, second = np.empty(shape, np.float32), np.empty(shape, np.float32)
        low, high = np.inf, -np.inf
        for number in numbers:
            np.add(self._first, self._found[number], out=index)
            table = self._patches(number)
            np.take(table, index, out=patch.view(np.complex128)[..., 0], mode="clip")
            np.multiply(patch[..., 3], self._wx, out=first)
            first += patch[..., 2]
            first *= self._wy
            np.multiply(patch[..., 1], self._wx, out=second)
            second += patch[..., 0]
            target = self._out[number]
            np.add(first, second, out=target)
            low, high = min(low, float(target.min())), max(high, float(target.max()))
        return low, high

    def _patches(self, number: int) -> NDArray[np.complex128]:
        """For every cell between four centres and every bin: its corner, slopes and twist in this plane."""
        layer, weight = int(self._z[number]), self._wz[number]
        maps = self._maps[layer] * (1 - weight) + self._maps[layer + 1] * weight
        corner, right = maps[:-1, :-1], maps[:-1, 1:]
        below, across = maps[1:, :-1], maps[1:, 1:]
        numbers = corner, right - corner, below - corner, across - right - below + corner
        return np.stack(numbers, axis=-1).view(np.complex128).reshape(-1)


def places(length: int, step: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The cell between centres that each voxel lies in, and how far it is from the cell's first centre."""
    shifted = np.arange(length) + step // 2
    return shifted // step, ((shifted % step) / step).astype(np.float32)
