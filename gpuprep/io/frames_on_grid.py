"""Planes of a segmentation on a grid: that of the image it was drawn on, or their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.grid import grid_of, placement
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels
from gpuprep.values.geometry import Geometry

Triples = NDArray[np.float64]

FARTHEST = 1e7
"""mm from the origin; farther is no point of a patient."""
_FAR = 1 << 31  # voxels from the first one; no axis is as long
_UNIT = 1e-3  # voxels that a step may be off one whole voxel of the image


@dataclass(frozen=True, slots=True)
class Planes:
    """Frames of one size and orientation, each where its first pixel lies.

    ``positions`` are LPS mm, ``(n, 3)``; ``right`` and ``down`` the steps from one column, and from one row,
    to the next, in mm; ``between`` is the step from slice to slice that the header tells, or 0.
    """

    positions: Triples
    right: Triples
    down: Triples
    rows: int
    columns: int
    between: float


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of an image; ``heights`` are those of its slices in steps, where they are uneven.

    ``of_slices`` is where its slices lie, if the policy of a tilt or of a gap has the image's grid ignore
    that: what was drawn on a slice stays on it.
    """

    geometry: Geometry
    heights: tuple[float, ...] = ()
    of_slices: Grid | None = None

    def index(self, points: Triples) -> Triples:
        """Fractional indices ``z, y, x`` of LPS points ``(n, 3)``; slices count, wherever they lie."""
        found = np.array(self.geometry.physical_to_index(points))
        if self.heights:
            own, first, last = np.asarray(self.heights), self.heights[0], self.heights[-1]
            z = found[:, 0]
            beyond = np.minimum(z - first, 0.0) + np.maximum(z - last, 0.0)
            found[:, 0] = np.interp(z, own, np.arange(len(own))) + beyond
        return found


@dataclass(frozen=True, slots=True)
class Placed:
    """Where frames lie on a grid: the index ``z, y, x`` of each one's first pixel, and whole steps.

    ``down`` and ``right`` are what an index changes by from row to row, and from column to column.
    """

    grid: Grid
    starts: NDArray[np.intp]
    down: tuple[int, int, int]
    right: tuple[int, int, int]

    def part(
        self, frame: int, rows: int, columns: int
    ) -> tuple[tuple[slice | int, ...], tuple[slice, slice], bool]:
        """The part of the grid that a frame covers, the part of the frame that is inside, and if the first is
        to be turned (its axes are columns, rows)."""
        start, shape = self.starts[frame], self.grid.geometry.shape
        own: list[slice] = []
        place: list[slice | int] = [int(each) for each in start]
        for step, count in ((self.down, rows), (self.right, columns)):
            axis = next(a for a in range(3) if step[a])
            sign, first, length = step[axis], int(start[axis]), shape[axis]
            low, high = (first, first + count) if sign > 0 else (first - count + 1, first + 1)
            inside = max(low, 0), max(min(high, length), max(low, 0))
            place[axis] = slice(*inside)
            taken = (inside[0] - low, inside[1] - low)
            if sign < 0:
                taken = (count - taken[1], count - taken[0])
            own.append(slice(*taken))
        across = next(a for a in range(3) if not self.down[a] and not self.right[a])
        if not 0 <= start[across] < shape[across]:
            own = [slice(0, 0), slice(0, 0)]
            place = [slice(0, 0)] * 3
            place[across] = 0
        turned = next(a for a in range(3) if self.down[a]) > next(
            a for a in range(3) if self.right[a]
        )
        return tuple(place), (own[0], own[1]), turned

    def lay(
        self, frame: int, pixels: NDArray[np.bool_]
    ) -> tuple[tuple[slice | int, ...], NDArray[Any]]:
        """The part of the grid that a frame covers, and the frame as it lies there."""
        place, own, turned = self.part(frame, *pixels.shape)
        inside = pixels[own][:: sum(self.down), :: sum(self.right)]
        return place, inside.T if turned else inside


def placed(planes: Planes, image: Grid | None, reading: Reading) -> Placed:
    """Frames on the image's grid where they fit it voxel by voxel, else on their own.

    Their own grid has a slice wherever even steps lead, with or without a frame.

    Raises:
        InputError: E_SLICE_GAP, E_NOT_VOLUME or E_NO_GEOMETRY if frames do not lie one above the other at
            even steps.
    """
    if image is not None:
        for grid in filter(None, (image.of_slices, image)):
            found = _on(planes, grid, reading.rules.grid_tolerance)
            if found is not None:
                return replace(found, grid=image)
    own = Grid(_own(planes, reading))
    found = _on(planes, own, max(reading.rules.grid_tolerance, 0.1 * own.geometry.spacing[2]))
    if found is None:
        raise reading.error(
            "E_NOT_VOLUME", "frames of the segmentation do not lie one above the other"
        )
    return found


def _on(planes: Planes, grid: Grid, tolerance: float) -> Placed | None:
    """Frames on a grid; None where some pixel lies between voxels, or farther than numbers go."""
    with np.errstate(over="ignore", invalid="ignore"):
        index = grid.index(planes.positions)
    if not np.isfinite(index).all():
        return None
    base = planes.positions[:1]
    steps = []
    for step in (planes.down, planes.right):
        change = (
            grid.geometry.physical_to_index(base + step) - grid.geometry.physical_to_index(base)
        )[0]
        whole = np.rint(change)
        if np.abs(change - whole).max() > _UNIT or np.abs(whole).sum() != 1:
            return None
        steps.append((int(whole[0]), int(whole[1]), int(whole[2])))
    if steps[0] == steps[1]:
        return None
    starts = np.rint(index)
    if (np.abs(index - starts) * np.array(grid.geometry.spacing_zyx)).max(initial=0.0) > tolerance:
        return None
    starts = np.clip(starts, -_FAR, _FAR)
    return Placed(grid, starts.astype(np.intp), steps[0], steps[1])


def _own(planes: Planes, reading: Reading) -> Geometry:
    normal = np.cross(planes.right, planes.down)
    normal = normal / np.linalg.norm(normal)
    if np.abs(planes.positions).max() > FARTHEST:
        raise reading.error(
            "E_NO_GEOMETRY",
            "a frame of the segmentation lies where no patient can, and on no image",
        )
    heights = planes.positions @ normal
    levels = np.unique(np.round(heights, 3))
    gaps = np.diff(levels)
    step = float(gaps.min()) if len(gaps) else planes.between or 1.0
    count = round(float(levels[-1] - levels[0]) / step) + 1
    if count > 1:
        step = float(levels[-1] - levels[0]) / (count - 1)
    off = np.abs((levels - levels[0]) / step - np.rint((levels - levels[0]) / step)).max()
    if off > 0.1:
        raise reading.error(
            "E_SLICE_GAP",
            f"frames of the segmentation lie at uneven steps, and the image it was drawn on is not known: "
            f"gaps of {gaps.min():.4g} to {gaps.max():.4g} mm",
            "Give the image that it refers to.",
        )
    first = planes.positions[int(np.argmin(heights))]
    columns = _columns(planes.right, planes.down, normal * step)
    return grid_of(
        placement(columns, first.tolist()), (count, planes.rows, planes.columns), reading
    )


def _columns(*steps: Triples) -> Sequence[Sequence[float]]:
    return [[float(value) for value in step] for step in steps]


def is_part(own: Geometry, image: Grid, reading: Reading) -> bool:
    """Whether a label map's grid has voxels of the image alone, or some beyond its border."""
    return _on(_slices_of(own), image, reading.rules.grid_tolerance) is not None


def embedded(array: Voxels, own: Geometry, image: Grid, reading: Reading) -> Voxels:
    """A label map ``(1, z, y, x)`` on the image's grid, of which its own is a part (see ``is_part``)."""
    found = _on(_slices_of(own), image, reading.rules.grid_tolerance)
    assert found is not None
    out = reading.allocate((1, *image.geometry.shape), array.dtype)
    out[...] = 0
    for z, plane in enumerate(array[0]):
        place, inside = found.lay(z, plane)
        out[0][place] = inside
    report_lost(int(np.count_nonzero(array)) - int(np.count_nonzero(out)), reading)
    return out


def _slices_of(own: Geometry) -> Planes:
    corners = np.zeros((own.shape[0], 3))
    corners[:, 0] = range(own.shape[0])
    right, down, _ = own.affine[:3, :3].T
    positions = own.index_to_physical(corners)
    return Planes(positions, right, down, own.shape[1], own.shape[2], own.spacing[2])


def report_lost(lost: int, reading: Reading) -> None:
    """W_LABEL_LOST for voxels outside the image."""
    if lost:
        text = f"{lost:,} labelled voxels lie outside the image they were drawn on"
        reading.report("W_LABEL_LOST", text, voxels=lost)
