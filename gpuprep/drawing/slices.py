"""Single slices as PNG, one pixel a voxel, and the small picture that stands for a case."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpuprep.drawing.planes import Plane, draw_tile, greys, paint_label, pixels_per_mm

_THUMBNAIL_GAP = 6
_THUMBNAIL_COLOURS = 64  # a third of the bytes, and no eye sees it


def draw_slice(
    voxels: NDArray[Any], window: tuple[float, float], label: NDArray[Any] | None = None
) -> Image.Image:
    """A slice as it lies in its array: rows and columns are pixels, nothing is turned or scaled.

    Greys alone, or with the colours of a label map over them.
    """
    grey = greys(voxels, window)
    if label is None:
        return Image.fromarray(grey)
    colours = np.repeat(grey[..., None], 3, axis=2)
    paint_label(colours, label)
    return Image.fromarray(colours)


def draw_thumbnail(
    planes: Sequence[Plane], window: tuple[float, float], *, height: int
) -> Image.Image:
    """Planes side by side on one scale, at most ``height`` pixels high."""
    scale = pixels_per_mm(planes, height, 3 * height)
    tiles = [draw_tile(plane, window, scale) for plane in planes]
    wide = sum(tile.width for tile in tiles) + _THUMBNAIL_GAP * (len(tiles) - 1)
    tall = max(tile.height for tile in tiles)
    canvas = Image.new("RGB", (wide, tall))
    left = 0
    for tile in tiles:
        canvas.paste(tile, (left, (tall - tile.height) // 2))
        left += tile.width + _THUMBNAIL_GAP
    return canvas.quantize(_THUMBNAIL_COLOURS, dither=Image.Dither.NONE)


def png_bytes(picture: Image.Image) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
