"""Coarser levels of a volume for viewers, made as they are asked for, slab by slab.

They follow the rule of a stored pyramid: every voxel stands for two along each axis, an image's is the mean
of its eight, a label's the one that most of the eight have. Where the store has a level, that is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.preprocess.pyramid import coarser_levels, halved
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.voxels import Voxels

_FINE_ENOUGH = 1 << 21  # voxels; no coarser level is offered than the first that has no more
_SLAB_BYTES = (
    8 << 20
)  # of full resolution at a time, or one plane, or as many as make one of a level
_DEPTH = 32  # planes of a chunk, as most stores have it


def level_grids(geometry: Geometry, *, stored: int = 1) -> list[Geometry]:
    """The grid of every level that is offered, full resolution first; all of the ``stored`` ones."""
    grids = [geometry]
    while max(grids[-1].shape) > 1 and (len(grids) < stored or grids[-1].voxels > _FINE_ENOUGH):
        grids.append(halved(grids[-1].shape).on(grids[-1]))
    return grids


def slabs(voxels: Voxels, steps: int, *, is_label: bool) -> Iterator[NDArray[Any]]:
    """A volume after ``steps`` halvings, in slabs along z from the first plane to the last.

    What is in memory does not grow with the number of planes.
    """
    depth, height, width = voxels.shape
    step = 1 << steps
    thick = max(1, _SLAB_BYTES // max(1, height * width * voxels.dtype.itemsize))
    thick = min(_DEPTH, 1 << (thick.bit_length() - 1))  # so that few slabs cut through a chunk
    thick = max(step, thick)
    for start in range(0, depth, thick):
        stop = min(start + thick, depth)
        slab = voxels.read((start, 0, 0), (stop, height, width))
        yield _halve(slab, steps, is_label=is_label) if steps else slab


def _halve(slab: NDArray[Any], steps: int, *, is_label: bool) -> NDArray[Any]:
    z, y, x = slab.shape
    image = None if is_label else slab
    labels = {"": slab} if is_label else {}
    levels = coarser_levels(image, labels, Geometry((z, y, x)), count=steps)
    if not levels:
        return slab
    found = levels[-1].labels[""] if is_label else levels[-1].image
    return np.asarray(found)
