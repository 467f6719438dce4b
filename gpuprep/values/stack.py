"""Slices that lie slantwise or unevenly, and the straight grid that takes them all in.

A *stack* is a volume seen as parallel slices across one of its axes. Where the gantry was tilted, or an
affine is sheared, every slice is shifted within its plane against the one before; where gaps differ,
slices lie at uneven heights. Seen from a straight grid (the slices' own plane, their normal, even
steps) every source slice is shifted within its plane, and every output slice is one fractional slice
number: two small tables, and nothing else. What lies between two slices is theirs after the shift, along
the normal. The straight grid takes in every source voxel, so nothing is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.geometry import Geometry, Shape, Triple

Table = NDArray[np.float64]

# Largest cosine between the axes of a slice that counts as rounding (ITK's value).
_RIGHT_ANGLE = 1e-4
_ROUNDING = 1e-3  # voxels: shifts below this come from float32 headers
_SNAP = 1e-6  # slices
_LONGEST_AXIS = 65_535


@dataclass(frozen=True, eq=False)
class Stack:
    """How the slices of a volume come to lie on a straight grid.

    Attributes:
        axis: the array axis (``z, y, x``) across the slices.
        numbers: float64 ``(m,)``: per straight slice the source slice at its height, with fraction.
        offsets: float64 ``(n, 2)``: per source slice, what to add to an index of the straight plane
            for the index of the slice's, in array order of the two axes other than ``axis``.
        geometry: the straight grid: orthonormal, even; ``m`` is its length along ``axis``.
    """

    axis: int
    numbers: Table
    offsets: Table
    geometry: Geometry


def stack_of(geometry: Geometry, heights: Sequence[float] = ()) -> Stack | None:
    """The way of a volume onto a straight grid; None where it lies on one.

    Axes within a slice and the spacing along them are kept; slices stand on their normal. Uneven slices
    are taken at even steps near the smallest gap, as many as bring first and last to where they are.

    >>> stack_of(Geometry((3, 8, 8))) is None  # straight and even already
    True
    >>> stack = stack_of(Geometry((3, 8, 8)), heights=[0.0, 1.0, 3.0])  # a slice is missing
    >>> stack.numbers.tolist(), stack.geometry.shape
    ([0.0, 1.0, 1.5, 2.0], (4, 8, 8))

    Args:
        geometry: the source's grid, whose axes may be sheared.
        heights: where its slices along ``z`` lie, increasing, in steps of the geometry, from 0 to the
            last index; empty for even ones.

    Raises:
        ValueError: no two axes are orthogonal, so there are no slices to shift; or gaps so unequal that
            even steps would be more than 65,535.
    """
    if not heights and not geometry.sheared:
        return None
    axis = 0 if heights else _axis_across(geometry)
    own = np.asarray(heights or range(geometry.shape[axis]), np.float64)
    at, numbers = _even_steps(own)
    plane = [other for other in range(3) if other != axis]
    directions = _orthonormal(geometry.matrix[:, [2 - other for other in plane]])
    step = geometry.affine[:3, 2 - axis]
    normal = np.cross(directions[:, 0], directions[:, 1])
    normal *= math.copysign(1.0, float(normal @ step))
    spacing = list(geometry.spacing_zyx)
    spacing[axis] = float(normal @ step) * (float(at[1] - at[0]) if len(at) > 1 else 1.0)
    shape = list(geometry.shape)
    shape[axis] = len(at)
    origin = np.array(geometry.origin)
    offsets = np.empty((len(own), 2))
    for column, other in enumerate(plane):
        shift = _rounded(float(directions[:, column] @ step) / spacing[other] * own)
        first = math.floor(shift.min() + _ROUNDING)
        shape[other] += math.ceil(shift.max() - _ROUNDING) - first
        offsets[:, column] = first - shift
        origin = origin + directions[:, column] * (first * spacing[other])
    matrix = np.empty((3, 3))
    matrix[:, 2 - axis] = normal
    matrix[:, [2 - other for other in plane]] = directions
    return Stack(axis, numbers, offsets, _straight(shape, spacing, origin, matrix))


def _axis_across(geometry: Geometry) -> int:
    """The array axis whose other two are orthogonal: the slices' plane; ``z`` where several are."""
    for axis in range(3):
        first, second = (geometry.matrix[:, 2 - other] for other in range(3) if other != axis)
        if abs(first @ second) <= _RIGHT_ANGLE:
            return axis
    raise ValueError("no two of the three axes are orthogonal")


def _even_steps(uneven: Table) -> tuple[Table, Table]:
    """Even heights from the first to the last, and the fractional slice numbers that lie there."""
    numbers = np.arange(len(uneven), dtype=np.float64)
    if np.array_equal(uneven, numbers):
        return uneven, numbers
    extent = float(uneven[-1] - uneven[0])
    steps = max(1, round(extent / float(np.diff(uneven).min())))
    if steps >= _LONGEST_AXIS:
        raise ValueError(f"the smallest gap fits {steps:,} times between first and last slice")
    even = uneven[0] + np.arange(steps + 1) * (extent / steps)
    numbers = np.interp(even, uneven, np.arange(len(uneven)))
    whole = np.rint(numbers)
    return even, np.where(np.abs(numbers - whole) < _SNAP, whole, numbers)


def _rounded(shift: Table) -> Table:
    """The shifts; none where the largest is a float32 header's rounding."""
    return shift if np.abs(shift).max() >= _ROUNDING else np.zeros_like(shift)


def _orthonormal(columns: Table) -> Table:
    """The nearest orthonormal pair of columns (polar factor)."""
    left, _, right = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left @ right)


def _straight(
    shape: Sequence[int], spacing: Sequence[float], origin: Table, matrix: Table
) -> Geometry:
    z, y, x = shape
    sizes: Shape = (z, y, x)
    c, b, a = spacing
    steps: Triple = (a, b, c)
    place: Triple = (float(origin[0]), float(origin[1]), float(origin[2]))
    return Geometry(sizes, steps, place, tuple(float(value) for value in matrix.ravel()))
