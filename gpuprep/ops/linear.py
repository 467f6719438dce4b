"""Linear resampling on NumPy, one output slice at a time: the engine for axes of at most two taps.

Slices are taken along the array's slowest axis in memory. The three axes are resampled in the order
that costs least: what shrinks comes early, what grows late. Steps ahead of the slice axis are done once
per input slice and their results kept in pairs; the others once per output slice, down to the last
steps and the cast. A thread owns a run of output slices; no slice depends on the run it is in.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Axes, AxisWeights, product
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.gather import memory_order
from gpuprep.ops.parallel import Threads, split
from gpuprep.ops.plane import (
    Chain,
    Form,
    PickRows,
    Step,
    loading,
    mixing_columns,
    mixing_rows,
)
from gpuprep.ops.pointwise import ClipAffine

Array = NDArray[Any]
Floats = NDArray[np.float32]

_GROUP = 1 << 18  # voxels finished at a time: fewer, longer calls keep threads from queueing
_RUNS = 4  # per thread, so that threads end together
# Slices of a run that are written together, where the output has another slowest axis.
_WAITING = 16
_LOADING = 0.28  # ns per voxel taken from the source
_MIXING = (0.25, 0.35, 0.8)  # ns per voxel written along slices, rows, columns


def apply_linear(
    array: Array, axes: Axes, out: Array, before: Pointwise, after: ClipAffine, pool: Threads
) -> None:
    """Write ``after(axes(before(array)))``; at least one axis mixes voxels, none more than two.

    Any strides on both sides.
    """
    order = memory_order(array)
    target = out.transpose(order)
    source, tables = _needed(array.transpose(order), [axes[axis] for axis in order])
    ahead, behind = _steps(tables, source.dtype, before)
    in_order = memory_order(target)[0] == 0

    def run(outputs: Sequence[int]) -> None:
        part = target[outputs[0] : outputs[-1] + 1]
        planes = part if in_order else np.empty(part.shape, part.dtype)
        pair = _Pair(source, tables[0], Chain(ahead, Form(source.shape[1:], source.dtype)))
        turn = Chain(behind, pair.form) if behind else None
        group = max(1, _GROUP // (part.shape[1] * part.shape[2]))
        tile = np.empty((group, *part.shape[1:]), np.float32)
        for first in range(0, len(outputs), group):
            ks = outputs[first : first + group]
            for k, plane in zip(ks, tile, strict=False):
                if turn is None:
                    pair.between(k, plane)
                else:
                    turn(pair.between(k, pair.mixed), plane)
            finished = tile[: len(ks)]
            after.apply(finished, out=planes[first : first + len(ks)], scratch=finished)
        if not in_order:
            part[...] = planes

    runs = -(-len(target) // _WAITING)
    if in_order:
        runs = 1 if pool.count == 1 else _RUNS * pool.count
    pool.map(run, split(range(len(target)), runs))


def _needed(source: Array, axes: Sequence[AxisWeights]) -> tuple[Array, list[AxisWeights]]:
    """The part of the source that outputs need, turned forwards in memory, and the axes over it."""
    parts, tables = [], []
    for stride, axis in zip(source.strides, axes, strict=True):
        first, last = axis.used
        start, weights = axis.start - first, axis.weights
        part = slice(first, last)
        if stride < 0:
            part = slice(last - 1, first - 1 if first else None, -1)
            start, weights = last - first - weights.shape[1] - start, weights[:, ::-1]
        parts.append(part)
        tables.append(AxisWeights(last - first, axis.m, start, weights))
    return source[tuple(parts)], tables


def _steps(
    axes: Sequence[AxisWeights], source: np.dtype[Any], before: Pointwise
) -> tuple[list[Step], list[Step]]:
    """What is done to a slice ahead of the slice axis and behind it."""
    ahead: list[Step] = []
    behind: list[Step] = []
    order = _cheapest(axes)
    for place, k in enumerate(order):
        steps = ahead if place < order.index(0) else behind
        if k == 1:
            steps += mixing_rows(axes[1])
        elif k == 2:
            steps += mixing_columns(axes[2])
    picked = 1 if ahead and isinstance(ahead[0], PickRows) else 0  # rows are picked as stored
    ahead[picked:picked] = loading(source, before)
    return ahead, behind


def _cheapest(axes: Sequence[AxisWeights]) -> tuple[int, ...]:
    """The order of axes that costs least; each costs by what it writes."""
    growth = [axis.m / axis.n for axis in axes]

    def cost(order: tuple[int, ...]) -> float:
        picked = 2 * growth[1] if order[0] == 1 and not axes[1].identity else 1.0
        voxels, total = 1.0, _LOADING * picked
        for k in order:
            voxels *= growth[k]
            total += voxels * (0 if axes[k].identity else _MIXING[k])
        return total

    return min(itertools.permutations(range(3)), key=cost)


class _Pair:
    """Two neighbouring slices after the steps ahead; slice ``i`` lies in place ``i % 2``."""

    def __init__(self, source: Array, axis: AxisWeights, ahead: Chain) -> None:
        self._source, self._axis, self._ahead = source, axis, ahead
        self._planes = np.zeros((2, *ahead.form.shape), np.float32)
        self._held = [-1, -1]
        self.mixed = np.empty(ahead.form.shape, np.float32)
        self.form = ahead.form

    def between(self, k: int, out: Floats) -> Floats:
        """Write the slice at output ``k``; returns ``out``."""
        weights = np.zeros((1, 2), np.float32)
        for index, weight in enumerate(self._axis.weights[k], int(self._axis.start[k])):
            place = index % 2
            weights[0, place] = weight
            if self._held[place] != index:
                self._ahead(self._source[index], self._planes[place])
                self._held[place] = index
        product(weights, self._planes.reshape(2, -1), out=out.reshape(1, -1))
        return out
