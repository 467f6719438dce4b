"""The small picture that stands for a stored case: three planes through its labels, or its middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuprep.drawing.planes import plane_across
from gpuprep.drawing.slices import draw_thumbnail, png_bytes
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import StoreError
from gpuprep.values.geometry import Geometry, Reorientation
from gpuprep.viewing.case_sides import after_side
from gpuprep.viewing.voxels import StoredVoxels, Voxels

HEIGHT = 192
"""Pixels, at most."""


def thumbnail_png(case: StoredCase, *, height: int = HEIGHT) -> bytes:
    """A case as PNG: axial, coronal and sagittal, of the first channel, with its first label map over it.

    Only the chunks that the three planes meet are read.

    Raises:
        CorruptStoreError: one of them is damaged.
    """
    label = next(iter(case.labels), None)
    mask = None if label is None else StoredVoxels(case.labels[label], outside=case.outside)
    planes = []
    window = 0.0, 1.0
    image: Voxels | None = None
    if case.image is not None:
        image = StoredVoxels(case.image, None if case.image.ndim == 3 else 0)
        channel = after_side(case).channels[0]
        window = channel.window
        if channel.line is not None:
            ends = [channel.line.stored(end) for end in window]
            window = min(ends), max(ends)
    centre = _centre(case, label)
    grid, move = case.geometry.reorient("LPS")
    for axis in range(3):
        told = _cut(mask, case.geometry, move, axis, centre) if mask is not None else None
        if image is not None:
            voxels = _cut(image, case.geometry, move, axis, centre)
        else:
            assert told is not None
            voxels = np.zeros(told.shape, np.uint8)
        planes.append(plane_across(axis, grid, voxels, told, centre[move.axes[axis]]))
    return png_bytes(draw_thumbnail(planes, window, height=height))


def _centre(case: StoredCase, label: str | None) -> list[int]:
    """Where the planes cut, in ``z, y, x`` of the stored array: through labelled voxels, if there are any."""
    if label is not None:
        try:
            places = [found for found in case.locations(label).values() if len(found)]
        except (StoreError, KeyError):  # an older version kept none
            places = []
        if places:
            every = np.concatenate(places).astype(np.int64)
            apart = np.abs(every - np.median(every, axis=0)).sum(axis=1)
            return [int(index) for index in every[apart.argmin()]]
    return [length // 2 for length in case.geometry.shape]


def _cut(
    voxels: Voxels, geometry: Geometry, move: Reorientation, axis: int, centre: list[int]
) -> NDArray[np.generic]:
    """A plane across an axis of the LPS grid, as rows and columns of that grid."""
    own = move.axes[axis]
    start, stop = [0, 0, 0], list(geometry.shape)
    start[own], stop[own] = centre[own], centre[own] + 1
    return np.asarray(move.view(voxels.read(start, stop)).squeeze(axis))
