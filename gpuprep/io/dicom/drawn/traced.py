"""Contours that were traced along a mask, from voxel centre to voxel centre.

Some programs make contours of a mask by linking the centres of its outermost voxels (OpenCV's findContours,
as rt-utils has it). By a rule for contours that run between voxels the structure would lose a voxel at two
of its sides, as https://github.com/qurit/rt-utils/pull/141 tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

_AT_CENTRE = 0.01  # voxels
_VISITS = 4  # of each voxel of a slice by one contour, in the mean
_LEAST_POINTS = 3  # in one contour at least, lest points that were placed by hand count


def is_traced(contours: Sequence[Points], rows: int, columns: int) -> bool:
    """Whether contours ``(n, 2)`` in indices run along the voxel centres of a slice.

    They do so by rows, columns and diagonals alone, and visit no voxel very often.
    """
    if not any(len(each) >= _LEAST_POINTS for each in contours):
        return False
    return all(_is_chain(each, np.array((rows, columns))) for each in contours)


def _is_chain(contour: Points, plane: NDArray[np.int_]) -> bool:
    corners = np.rint(contour)
    if np.abs(contour - corners).max() > _AT_CENTRE:
        return False
    if corners.min() < 0 or (corners >= plane).any():
        return False
    steps = np.abs(np.roll(corners, -1, axis=0) - corners)
    longest = _VISITS * plane.prod()
    straight = (steps.min(axis=1) == 0) | (steps[:, 0] == steps[:, 1])
    return bool(straight.all() and steps.max(axis=1).sum() <= longest)


def mark_edges(mask: NDArray[np.bool_], contours: Iterable[Points]) -> None:
    """Set the voxels of ``mask`` that traced contours run through."""
    for contour in contours:
        corners = np.rint(contour).astype(np.intp)
        steps = np.roll(corners, -1, axis=0) - corners
        counts = np.maximum(np.abs(steps).max(axis=1), 1)  # an edge ends where the next begins
        edges = np.repeat(np.arange(len(corners)), counts)
        along = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts)
        y, x = (corners[edges] + np.sign(steps)[edges] * along[:, None]).T
        mask[y, x] = True
