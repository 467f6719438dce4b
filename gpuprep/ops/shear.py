"""Slices shifted onto a straight grid: each one is an in-plane resampling with an offset of its own.

A straight slice between two uneven ones is made of both after their shifts, at equal places in the plane:
linearly along their normal, never along the slant. Voxels of a shifted slice whose centre is outside the
source (an index outside ``[-½, n - ½)``, as ITK has it) get a fill value.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Interpolation
from gpuprep.ops.band import Boundary
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.parallel import open_threads
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.grids import GridMapping
from gpuprep.values.stack import Stack

Array = NDArray[Any]

_TIE = 1e-6  # of a vote: float32 sums that differ by less are equal


def unshear(
    array: Array,
    stack: Stack,
    *,
    interpolation: Interpolation = "linear",
    boundary: Boundary = "nearest",
    threads: int = 1,
) -> Array:
    """An image on the straight grid of its stack, in its own dtype and within its own range.

    Integers are rounded half to even. A voxel whose nearest one is NaN or infinite is NaN; the finite
    extremes stand in for those (the smallest for NaN) while the others are interpolated. Outside the
    source lies the smallest voxel of the image: air in CT, 0 in most MR. Without any finite voxel the
    result is NaN throughout.
    """
    finite, low, high = _finite(array)
    out = np.full(stack.geometry.shape, low, array.dtype)
    if not math.isfinite(low):
        return out
    ends = low, high

    def shifted(number: int, plane: Array) -> None:
        view = _view(stack, array.shape, number)
        how = Resampling(view.mapping, interpolation, boundary, clip_to=ends, value_range=ends)
        plane[view.target] = resample(finite[view.source], how, dtype=plane.dtype)

    def write(k: int) -> None:
        plane = _plane(out, stack, k)
        below, share = _split(stack.numbers[k], nearest=interpolation == "nearest")
        if not share:
            shifted(below, plane)
            return
        first, second = np.full((2, *plane.shape), low, np.float32)
        shifted(below, first)
        shifted(below + 1, second)
        between = first + share * (second.astype(np.float64) - first)
        plane[:] = between if out.dtype.kind == "f" else np.rint(between)

    with open_threads(threads) as pool:
        pool.map(write, range(len(stack.numbers)))
    if finite is not array:
        out[unshear_labels((~np.isfinite(array)).view(np.uint8), stack) != 0] = np.nan
    return out


def unshear_labels(
    array: Array,
    stack: Stack,
    *,
    interpolation: Literal["nearest", "linear"] = "nearest",
    threads: int = 1,
) -> Array:
    """A label map on the straight grid of its stack, by the rules of ``resample_labels``; outside 0.

    Between two slices, ``linear`` adds up the votes of both, and ``nearest`` takes the nearer one.
    """
    out = np.zeros(stack.geometry.shape, array.dtype)

    def shifted(number: int, plane: Array) -> Array:
        view = _view(stack, array.shape, number)
        how = Resampling(view.mapping, interpolation)
        plane[view.target] = resample_labels(array[view.source], how)
        return plane

    def votes(number: int, label: int) -> Array:
        plane = np.full(_plane(out, stack, 0).shape, float(label == 0), np.float32)
        view = _view(stack, array.shape, number)
        part = (array[view.source] == label).astype(np.float32)
        plane[view.target] = resample(part, Resampling(view.mapping, value_range=(0.0, 1.0)))
        return plane

    def write(k: int) -> None:
        plane = _plane(out, stack, k)
        nearer, _ = _split(stack.numbers[k], nearest=True)
        below, share = _split(stack.numbers[k], nearest=interpolation == "nearest")
        shifted(nearer, plane)  # which also decides among equal votes
        if not share:
            return
        found = np.unique(array[_slices(stack, below, below + 2)]).tolist()
        most, own = np.full(plane.shape, -1.0), np.zeros(plane.shape)
        first_choice, winner = plane.copy(), plane.copy()
        for label in sorted({0, *found}):
            sums = (1 - share) * votes(below, label) + share * votes(below + 1, label)
            ahead = sums > most + _TIE
            most[ahead], winner[ahead] = sums[ahead], label
            np.copyto(own, sums, where=first_choice == label)
        plane[:] = np.where(own >= most - _TIE, first_choice, winner)

    with open_threads(threads) as pool:
        pool.map(write, range(len(stack.numbers)))
    return out


def _finite(array: Array) -> tuple[Array, float, float]:
    """The array without NaN and infinities, and its smallest and largest finite voxel."""
    low, high = float(array.min()), float(array.max())
    if math.isfinite(low) and math.isfinite(high):
        return array, low, high
    values = array[np.isfinite(array)]
    if not values.size:
        return array, math.nan, math.nan
    low, high = float(values.min()), float(values.max())
    return np.nan_to_num(array, nan=low, posinf=high, neginf=low), low, high


def _split(number: float, *, nearest: bool) -> tuple[int, float]:
    """The source slice at or below a fractional number, and the share of the one above it."""
    below = math.floor(number + 0.5) if nearest else math.floor(number)
    return below, 0.0 if nearest else float(number) - below


def _slices(stack: Stack, start: int, stop: int) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if axis == stack.axis else slice(None) for axis in range(3))


def _plane(out: Array, stack: Stack, k: int) -> Array:
    """Straight slice ``k`` as a view of three axes."""
    return out[_slices(stack, k, k + 1)]


class _View(NamedTuple):
    """One source slice on a straight plane: the part of the plane that lies inside it, the slice, and
    the mapping from the one to the other."""

    target: tuple[slice, ...]
    source: tuple[slice, ...]
    mapping: GridMapping


def _view(stack: Stack, shape: tuple[int, ...], number: int) -> _View:
    plane = [axis for axis in range(3) if axis != stack.axis]
    target, offset = [slice(None)] * 3, [0.0] * 3
    lengths = [1] * 3
    for axis, first in zip(plane, stack.offsets[number].tolist(), strict=True):
        inside = slice(
            max(0, math.ceil(-0.5 - first)),
            min(stack.geometry.shape[axis], math.ceil(shape[axis] - 0.5 - first)),
        )
        target[axis], offset[axis] = inside, first + inside.start
        lengths[axis] = inside.stop - inside.start
    mapping = GridMapping(_three(lengths), (1.0, 1.0, 1.0), _three(offset))
    return _View(tuple(target), _slices(stack, number, number + 1), mapping)


def _three(values: list[Any]) -> tuple[Any, Any, Any]:
    a, b, c = values
    return a, b, c
