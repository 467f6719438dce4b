"""Cases like those of clinical CT: the phantom with more organs, each a little elsewhere in every case."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import phantom

CASES = 8
LABELS = {
    "background": 0,
    **{"lung": phantom.LUNG, "spine": phantom.BONE, "lesion": phantom.LESION},
    **{"liver": 4, "spleen": 5, "kidney_left": 6, "kidney_right": 7, "heart": 8},
}

Triple = tuple[float, float, float]

_ORGANS: dict[str, tuple[Triple, Triple, int]] = {
    "liver": ((-0.45, -0.05, -0.35), (0.25, 0.30, 0.30), 25),
    "spleen": ((-0.45, 0.15, 0.50), (0.12, 0.14, 0.12), 15),
    "kidney_left": ((-0.75, 0.20, 0.30), (0.12, 0.10, 0.09), 120),
    "kidney_right": ((-0.78, 0.20, -0.28), (0.12, 0.10, 0.09), 120),
    "heart": ((0.10, -0.15, 0.05), (0.18, 0.22, 0.22), 110),
}
"""Centre and half axes (z, y, x) of an ellipsoid where the volume is −1 … 1, and HU above what is there."""


def case(shape: phantom.Shape, number: int) -> tuple[np.ndarray, np.ndarray, Triple]:
    """Intensities in HU, labels, and the spacing (x, y, z in mm) of a case; a number gives the same case."""
    image, label = phantom.ct(shape, number), phantom.labels(shape)
    for name, part in _regions(shape, number):
        label[part] = LABELS[name]
        image[part] += _ORGANS[name][2]
    in_plane = round(0.68 + 0.03 * number, 2)
    return image, label, (in_plane, in_plane, 1.0 if number % 2 else 1.25)


def _regions(shape: phantom.Shape, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    random = np.random.default_rng(seed)
    z, y, x = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in shape)]
    for name, (centre, half, _) in _ORGANS.items():
        c, b, a = np.add(centre, random.uniform(-0.03, 0.03, 3))
        yield (
            name,
            ((z - c) / half[0]) ** 2 + ((y - b) / half[1]) ** 2 + ((x - a) / half[2]) ** 2 < 1,
        )
