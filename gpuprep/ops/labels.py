"""Resampling of label maps: integers that name structures and are never mixed.

``linear`` means one indicator volume per label, resampled linearly, the largest winning. No indicator
is ever made: where the eight voxels around a point agree, that label wins whatever the weights; only
the rest, the borders, are voted on, with the eight weights added up per label. Cost does not depend on
the number of labels.

The rule for ties (batchgenerators ≥ 0.25.4, used by nnU-Net): the label of the nearest voxel if it is
among the tied, else the lowest. Sums within 1e-9 are tied, which exact halves and quarters always are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Axes, AxisWeights
from gpuprep.ops.crop import tight_box
from gpuprep.ops.gather import gather, memory_order
from gpuprep.ops.parallel import open_threads
from gpuprep.ops.pointwise import IDENTITY
from gpuprep.ops.resample import Resampling

Array = NDArray[Any]

_TIE = 1e-9
_SLAB = 16  # output planes per step of a thread
_VOTERS = 1 << 16  # voxels voted on at a time
_CORNERS = [(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]


def resample_labels(
    array: Array, how: Resampling, *, threads: int = 1, out: Array | None = None
) -> Array:
    """A label map on another grid, in its own integer dtype (TypeError for other dtypes), or in ``out``.

    ``array`` is 3-D, ``z, y, x``, of any strides; beyond its edges the outermost labels continue. Across
    ``how.separate_axis`` each slice is voted on by itself, and the nearest taken along it. Intensity
    steps do not count. ValueError for an interpolation that is neither nearest nor linear.
    """
    if array.dtype.kind not in "iu":
        raise TypeError(f"labels are integers, not {array.dtype}")
    out = np.empty(how.mapping.shape, array.dtype) if out is None else out
    axes = how.axes(array.shape)
    check_votes(axes)
    with open_threads(threads) as pool:
        if all(axis.indices is not None for axis in axes):
            gather(array, axes, out, IDENTITY, pool)
            return out
        order = memory_order(array)
        nearest = replace(how, interpolation="nearest").axes(array.shape)
        vote = _Vote(
            array.transpose(order),
            [_Taps.of(axes[axis], nearest[axis]) for axis in order],
        )
        target = out.transpose(order)
        pool.map(lambda first: vote.slab(target, first), range(0, len(target), _SLAB))
    return out


def check_votes(axes: Axes) -> None:
    """ValueError where more than two voxels along an axis would vote: there is no rule for that."""
    if any(axis.weights.shape[1] > 2 for axis in axes):
        raise ValueError("labels are resampled by nearest or linear, without anti-aliasing")


class _Taps(NamedTuple):
    """Per output index of one axis: two neighbouring input indices, the weight of the second, and the
    nearest input index."""

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    weight: NDArray[np.float64]
    nearest: NDArray[np.intp]

    @classmethod
    def of(cls, linear: AxisWeights, nearest: AxisWeights) -> _Taps:
        first = linear.start.astype(np.intp)
        mixed = linear.weights.shape[1] == 2
        second = first + 1 if mixed else first
        weight = linear.weights[:, 1] if mixed else np.zeros(linear.m)
        assert nearest.indices is not None
        return cls(first, second, weight, nearest.indices)

    def touching(self, low: int, high: int) -> slice:
        """The outputs that any input index in ``low:high`` can reach."""
        reach = np.flatnonzero((self.second >= low) & (self.first < high))
        return slice(int(reach[0]), int(reach[-1]) + 1) if len(reach) else slice(0, 0)

    def part(self, outputs: slice | NDArray[np.intp]) -> _Taps:
        first, second, weight, nearest = self
        return _Taps(first[outputs], second[outputs], weight[outputs], nearest[outputs])

    def share(self, side: int) -> NDArray[np.float64]:
        """The weight of the first index (side 0) or the second (side 1)."""
        return self.weight if side else 1 - self.weight


class _Vote:
    """The linear vote over one label map, slab by slab of output planes."""

    def __init__(self, labels: Array, taps: list[_Taps]) -> None:
        self._labels = labels
        self._background = labels[0, 0, 0]
        box = tight_box(labels, lambda part: part != self._background)
        if box is None:
            box = (slice(0, 0),) * 3
        slices, rows, columns = (
            axis.touching(part.start, part.stop) for axis, part in zip(taps, box, strict=True)
        )
        if rows.start == rows.stop or columns.start == columns.stop:
            slices = slice(0, 0)  # no output comes near
        self._slices, self._target = slices, (rows, columns)
        self._taps = taps[0], taps[1].part(rows), taps[2].part(columns)

    def slab(self, out: Array, first: int) -> None:
        """Write the output planes from ``first`` on."""
        planes = range(first, min(first + _SLAB, len(out)))
        tile = np.full((len(planes), *out.shape[1:]), self._background, out.dtype)
        below = -1
        for plane, k in zip(tile, planes, strict=True):
            if not self._slices.start <= k < self._slices.stop:
                continue
            if self._taps[0].first[k] != below:
                below = int(self._taps[0].first[k])
                mixed = self._mixed(below, int(self._taps[0].second[k]))
            plane[self._target] = self._plane(k, mixed)
        out[planes.start : planes.stop] = tile

    def _mixed(self, below: int, above: int) -> Array:
        """Per output point of a plane between two slices: whether its eight voxels differ."""
        _, rows, columns = self._taps
        y = slice(int(rows.first.min()), int(rows.second.max()) + 1)
        x = slice(int(columns.first.min()), int(columns.second.max()) + 1)
        low, high = self._labels[below, y, x], self._labels[above, y, x]
        differ = low != high
        right, down = low[:, 1:] != low[:, :-1], low[1:] != low[:-1]
        mixed = differ.copy()
        mixed[:, :-1] |= right | differ[:, 1:]
        lines = mixed.copy()
        mixed[:-1] |= down | lines[1:]
        points = mixed.take(rows.first - y.start, 0).take(columns.first - x.start, 1)
        return np.asarray(points, np.bool_)

    def _plane(self, k: int, mixed: Array) -> Array:
        slices, rows, columns = self._taps
        source = self._labels[slices.first[k]]
        plane = source.take(rows.first, 0).take(columns.first, 1)
        points = np.flatnonzero(mixed)
        for first in range(0, len(points), _VOTERS):
            y, x = np.divmod(points[first : first + _VOTERS], columns.first.size)
            plane[y, x] = self._elect(k, y, x)
        return np.asarray(plane)

    def _elect(self, k: int, y: NDArray[np.intp], x: NDArray[np.intp]) -> Array:
        """The winning labels at some points of output plane ``k``."""
        slices = self._taps[0].part(slice(k, k + 1))
        rows, columns = self._taps[1].part(y), self._taps[2].part(x)
        planes = [self._labels[z[0]].reshape(-1) for z in (slices.first, slices.second)]
        xs = columns.first, columns.second
        starts = [index * self._labels.shape[2] for index in (rows.first, rows.second)]
        voters = np.empty((8, len(y)), self._labels.dtype)
        weights = np.empty((8, len(y)))
        for corner, (a, b, c) in enumerate(_CORNERS):
            planes[a].take(starts[b] + xs[c], out=voters[corner], mode="clip")
            np.multiply(slices.share(a) * rows.share(b), columns.share(c), out=weights[corner])
        nearest = self._labels[slices.nearest[0], rows.nearest, columns.nearest]
        return _winners(voters, weights, nearest)


def _winners(voters: Array, weights: NDArray[np.float64], nearest: Array) -> Array:
    """Per column the label with the largest sum of weights, under the rule for ties.

    Nearly always two labels meet: then one sum decides.
    """
    low, high = voters.min(0), voters.max(0)
    lead = 2 * (weights * (voters == high)).sum(0) - weights.sum(0)
    elected = np.where(lead > 0, high, low)
    np.copyto(elected, nearest, where=np.abs(lead) <= _TIE)
    several = np.flatnonzero(((voters != low) & (voters != high)).any(0))
    if len(several):
        chosen = voters[:, several], weights[:, several], nearest[several]
        elected[several] = _winners_of_several(*chosen)
    return elected


def _winners_of_several(voters: Array, weights: NDArray[np.float64], nearest: Array) -> Array:
    sums = weights.copy()
    for a in range(8):
        for b in range(a):
            shared = voters[a] == voters[b]
            sums[a] += shared * weights[b]
            sums[b] += shared * weights[a]
    tied = sums >= sums.max(0) - _TIE
    lowest = np.where(tied, voters, voters.dtype.type(np.iinfo(voters.dtype).max)).min(0)
    among = (tied & (voters == nearest)).any(0)
    return np.where(among, nearest, lowest)
