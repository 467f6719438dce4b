"""Synthetic content with what real scans have: smooth parts, edges, noise, empty surroundings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[Any]


def content(shape: tuple[int, ...], seed: int) -> Array:
    """Smooth structures, sharp edges between them, and noise, as a CT has; int16, no voxel zero."""
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.normal(0, 1, shape), 2, mode="nearest")
    edges = np.where(smooth > 0.03, 300.0, np.where(smooth < -0.06, -900.0, 40.0))
    values = np.rint(edges + 900 * smooth + random.normal(0, 30, shape)).astype(np.int16)
    return np.where(values == 0, np.int16(1), values)


def structures(shape: tuple[int, ...], seed: int) -> Array:
    """Labels 0 to 4 with smooth borders, small islands and places where several meet."""
    random = np.random.default_rng(seed)
    fields = gaussian_filter(random.normal(0, 1, (5, *shape)), (0, 2, 2, 2), mode="nearest")
    labels = fields.argmax(0).astype(np.int8)
    islands = random.random(shape) < 0.01
    labels[islands] = random.integers(0, 5, int(islands.sum()))
    return labels


def head(shape: tuple[int, ...], channels: int, seed: int) -> Array:
    """MR-like: positive inside an off-centre ellipsoid with holes, zero around it."""
    grid = np.stack(np.indices(shape), -1) / np.array(shape)
    inside = (((grid - [0.45, 0.55, 0.5]) / [0.36, 0.38, 0.41]) ** 2).sum(-1) < 1
    images = np.stack([np.abs(content(shape, seed + k)) for k in range(channels)])
    images *= inside
    images[:, (content(shape, seed + 9) < -1000) & inside] = 0
    return images
