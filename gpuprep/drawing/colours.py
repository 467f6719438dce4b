"""The colour of each label value: one table for pictures, planes and pages."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

_FIRST: tuple[Colour, ...] = (
    (239, 83, 80), (0, 172, 193), (255, 202, 40), (102, 187, 106), (171, 71, 188),
    (255, 138, 101), (66, 165, 245), (212, 225, 87), (236, 64, 122), (141, 110, 99),
)  # fmt: skip
_GOLDEN = 0.6180339887498949  # of a turn: hues so far apart come near one another as late as can be
_TONES = ((0.62, 0.95), (0.85, 0.80), (0.45, 0.88))  # saturation and brightness, in turn


def label_colour(value: int) -> Colour:
    """Red, green and blue of a label value, the same in every picture; 0 is black.

    >>> label_colour(1), label_colour(2)
    ((239, 83, 80), (0, 172, 193))
    """
    if value == 0:
        return 0, 0, 0
    place = abs(value) - 1
    if place < len(_FIRST):
        return _FIRST[place]
    saturation, brightness = _TONES[place % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN % 1.0, saturation, brightness)
    return round(red * 255), round(green * 255), round(blue * 255)


def colour_text(value: int) -> str:
    """The colour as pages write it.

    >>> colour_text(1)
    '#ef5350'
    """
    return "#{:02x}{:02x}{:02x}".format(*label_colour(value))


def coloured(label: NDArray[Any]) -> NDArray[np.uint8]:
    """The colour of each voxel of a label map, ``(..., 3)``."""
    values, places = np.unique(label, return_inverse=True)
    table = np.array([label_colour(int(value)) for value in values], np.uint8).reshape(-1, 3)
    return table[places.reshape(label.shape)]
