"""Coarser levels of a stored case, for viewers: every voxel stands for two along each axis.

An image's is the mean of its eight, a label's the one most of the eight have (ties as in ``ops.labels``),
so that no label appears that was not there. Both are the linear resampling halfway between voxels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.bits import rounded_bits
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.operations import Image
from gpuprep.ops.resample import Resampling, resample
from gpuprep.store.case import Level
from gpuprep.values.geometry import Geometry, Shape
from gpuprep.values.grids import GridMapping


def coarser_levels(
    image: Image | None,
    labels: Mapping[str, NDArray[Any]],
    geometry: Geometry,
    *,
    count: int,
    keep_bits: int | None = None,
    threads: int = 1,
) -> list[Level]:
    """The next ``count`` levels of a case, fewer where nothing is left to halve.

    Args:
        image: ``z, y, x`` or ``c, z, y, x``; None for a case of labels only.
        labels: label maps ``z, y, x`` by name.
        geometry: the grid of all of them.
        keep_bits: what to round images to, as the full resolution was.
        threads: does not change the result.
    """
    levels: list[Level] = []
    while len(levels) < count and max(geometry.shape) > 1:
        mapping = halved(geometry.shape)
        labels = {
            name: resample_labels(label, Resampling(mapping), threads=threads)
            for name, label in labels.items()
        }
        image = None if image is None else _means(image, mapping, threads)
        if image is not None and keep_bits is not None:
            image = rounded_bits(image, keep_bits)
        geometry = mapping.on(geometry)
        levels.append(Level(image, labels, geometry))
    return levels


def halved(shape: Shape) -> GridMapping:
    """The grid of every second half-way point; an axis of one voxel stays, an odd one keeps its end."""
    z, y, x = (((n + 1) // 2, 2.0, 0.5) if n > 1 else (1, 1.0, 0.0) for n in shape)
    return GridMapping((z[0], y[0], x[0]), (z[1], y[1], x[1]), (z[2], y[2], x[2]))


def _means(image: Image, mapping: GridMapping, threads: int) -> NDArray[Any]:
    channels = [image] if image.ndim == 3 else [image[n] for n in range(image.shape[0])]
    means = [
        resample(np.asarray(channel), Resampling(mapping), dtype=image.dtype, threads=threads)
        for channel in channels
    ]
    return means[0] if image.ndim == 3 else np.stack(means)
