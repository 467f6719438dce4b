"""A CT-like volume made from a formula: body, lungs, bone, a lesion, correlated noise; and its labels.

Needs only NumPy. Axes are ``z, y, x``; the same shape and seed give the same voxels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, int, int]

SHAPE: Shape = (466, 512, 512)
SPACING = (0.78, 0.78, 1.0)  # x, y, z in mm
HU_RANGE = (-1024, 2048)
LUNG, BONE, LESION = 1, 2, 3

_AIR_HU, _BODY_HU = -1000, 40
_HU = {LUNG: -800, BONE: 700, LESION: 110}
_NOISE_HU = 30  # before it is blurred to about 18


def ct(shape: Shape = SHAPE, seed: int = 0) -> NDArray[np.int16]:
    """Intensities in HU, all within ``HU_RANGE`` as a scanner has it; the noise is the seed's."""
    random = np.random.default_rng(seed)
    voxels = np.full(shape, _AIR_HU, np.int16)
    for structure, region in _regions(shape):
        voxels[region] = _HU.get(structure, _BODY_HU)
    for plane in voxels:
        noise = random.normal(0, _NOISE_HU, plane.shape).astype(np.float32)
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
        plane += noise.astype(np.int16)
    return np.clip(voxels, *HU_RANGE, out=voxels)


def labels(shape: Shape = SHAPE) -> NDArray[np.uint8]:
    """The label map of the same volume: lungs, spine, lesion; 0 elsewhere."""
    voxels = np.zeros(shape, np.uint8)
    for structure, region in _regions(shape):
        voxels[region] = structure
    return voxels


def _regions(shape: Shape) -> Iterator[tuple[int, NDArray[Any]]]:
    """Structures and where they are, the later inside the earlier; 0 is the body."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in shape)]
    yield 0, np.broadcast_to((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, shape)
    for side in (-0.38, 0.38):
        yield LUNG, ((x - side) / 0.28) ** 2 + (y / 0.4) ** 2 + ((z - 0.3) / 0.6) ** 2 < 1
    yield BONE, np.broadcast_to(x**2 + (y - 0.4) ** 2 < 0.008, shape)
    yield LESION, (x + 0.35) ** 2 + (y - 0.1) ** 2 + (z + 0.55) ** 2 < 0.02
