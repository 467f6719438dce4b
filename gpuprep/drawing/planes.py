"""Three planes through a volume as one picture: axial, coronal, sagittal, side by side and to scale.

Radiological convention, as on a viewing station: one looks from the feet and from the front, so the
patient's right is at the left of the picture; sagittal planes face left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gpuprep.drawing.colours import Colour, coloured, label_colour
from gpuprep.host.atomic import whole_file
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

_WIDTH, _HEIGHT = 1500, 460  # most pixels the three planes may take together
_GAP, _MARGIN = 64, 40
_TITLE, _CAPTION, _FOOT = 66, 30, 58
_MOST_LEGEND = 8
_FILL, _OUTLINE = 0.42, 0.85  # opacity of a label's inside and of its edge

_BACKGROUND = (16, 18, 22)
_FRAME = (52, 57, 66)
_TEXT, _QUIET = (232, 235, 240), (142, 150, 163)
_LETTER = (255, 209, 102)

Pixels = NDArray[np.uint8]


_SEEN = (
    ("axial", ("R", "L", "A", "P")),
    ("coronal", ("R", "L", "S", "I")),
    ("sagittal", ("A", "P", "S", "I")),
)
"""What a plane across z, y and x is called, and the directions at its left, right, top and bottom."""


@dataclass(frozen=True)
class Plane:
    """One plane as it is seen: rows go down, columns to the right.

    ``letters`` are the patient directions at the left, right, top and bottom edge; ``pixel_mm`` is the
    size of a pixel down and across; ``index`` of ``count`` says which slice it is.
    """

    name: str
    voxels: NDArray[Any]
    label: NDArray[Any] | None
    letters: tuple[str, str, str, str]
    pixel_mm: tuple[float, float]
    index: int
    count: int

    @property
    def extent_mm(self) -> tuple[float, float]:
        """Height and width."""
        rows, columns = self.voxels.shape
        return rows * self.pixel_mm[0], columns * self.pixel_mm[1]


def cut_planes(
    image: NDArray[Any], geometry: Geometry, label: NDArray[Any] | None = None
) -> tuple[Plane, Plane, Plane]:
    """The axial, coronal and sagittal plane through the label's centre of mass, else the middle.

    ``image`` and ``label`` are ``z, y, x`` on ``geometry``, whatever its orientation. Where the plane
    through the centre misses the label (two kidneys), the nearest that meets it is taken.
    """
    turned, move = geometry.reorient("LPS")
    voxels = move.view(image)
    mask = None if label is None else move.view(label)
    at = _centre(turned.shape if mask is None else mask)

    def across(axis: int) -> Plane:
        part: tuple[Any, ...] = (*(slice(None),) * axis, at[axis])
        told = None if mask is None else mask[part]
        return plane_across(axis, turned, voxels[part], told, at[axis])

    return across(0), across(1), across(2)


def plane_across(
    axis: int, grid: Geometry, voxels: NDArray[Any], label: NDArray[Any] | None, index: int
) -> Plane:
    """A plane across axis ``z``, ``y`` or ``x`` (0, 1, 2) of an LPS grid, as it is seen: superior at the top.

    ``voxels`` and ``label`` are the plane's, in the order of the other two axes.
    """
    name, letters = _SEEN[axis]
    if axis > 0:
        voxels = voxels[::-1]
        label = None if label is None else label[::-1]
    down, across = (mm for other, mm in enumerate(grid.spacing_zyx) if other != axis)
    return Plane(name, voxels, label, letters, (down, across), index, grid.shape[axis])


def _centre(target: NDArray[Any] | tuple[int, ...]) -> tuple[int, ...]:
    """Indices of the three planes through a label, or through the middle of a shape."""
    if isinstance(target, tuple):
        return tuple(n // 2 for n in target)
    mask = target != 0
    counts = [np.count_nonzero(mask, axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    if not counts[0].any():
        return _centre(target.shape)
    means = [np.average(np.arange(len(row)), weights=row) for row in counts]
    met = [np.flatnonzero(row) for row in counts]
    return tuple(
        int(there[np.abs(there - mean).argmin()]) for there, mean in zip(met, means, strict=True)
    )


def draw_planes(
    image: NDArray[Any],
    geometry: Geometry,
    *,
    title: str,
    subtitle: str = "",
    window: tuple[float, float],
    label: NDArray[Any] | None = None,
    names: Mapping[int, str] | None = None,
) -> Image.Image:
    """The picture of three planes.

    Args:
        image: ``z, y, x`` on ``geometry``.
        window: the intensities that become black and white.
        label: a label map on the same grid, drawn as a translucent overlay with an outline.
        names: the label values for the legend, in order, with their names.
    """
    planes = cut_planes(image, geometry, label)
    scale = pixels_per_mm(planes, _HEIGHT, _WIDTH - 2 * _GAP)
    tiles = [draw_tile(plane, window, scale) for plane in planes]
    wide = sum(tile.width for tile in tiles) + _GAP * (len(tiles) - 1) + 2 * _MARGIN
    tall = max(tile.height for tile in tiles)
    canvas = Image.new(
        "RGB", (max(wide, 720), _TITLE + tall + _CAPTION + _FOOT + _MARGIN), _BACKGROUND
    )
    pen = ImageDraw.Draw(canvas)
    _write(pen, (_MARGIN, 16), title, 20, _TEXT)
    _write(pen, (_MARGIN, 42), subtitle, 14, _QUIET)
    left = _MARGIN + (canvas.width - wide) // 2
    for plane, tile in zip(planes, tiles, strict=True):
        top = _TITLE + 20 + (tall - tile.height) // 2
        canvas.paste(tile, (left, top))
        _annotate(pen, plane, tile.size, left, top, _TITLE + 20 + tall + 24)
        left += tile.width + _GAP
    foot = canvas.height - 30
    right = _draw_scale_bar(pen, canvas.width - _MARGIN, foot, scale)
    _draw_legend(pen, foot, right, names or {})
    return canvas


def save_picture(picture: Image.Image, file: Path) -> None:
    """Write a picture as PNG, whole or not at all; raises UsageError where that is impossible."""
    if file.suffix.lower() != ".png":
        raise UsageError(f"{file} does not end in .png")
    with whole_file(file) as partial:
        picture.save(partial, format="PNG", optimize=True)


def pixels_per_mm(planes: Sequence[Plane], height: int, width: int) -> float:
    """One scale for all planes side by side, so that sizes can be compared."""
    tall = max(plane.extent_mm[0] for plane in planes)
    wide = sum(plane.extent_mm[1] for plane in planes)
    return min(height / tall, width / wide)


def draw_tile(plane: Plane, window: tuple[float, float], scale: float) -> Image.Image:
    """One plane in its final size: greys, label colours over them, label outlines."""
    height, width = (max(1, round(mm * scale)) for mm in plane.extent_mm)
    picture = Image.fromarray(greys(plane.voxels, window))
    enlarged = picture.resize((width, height), Image.Resampling.BICUBIC)
    colours = np.repeat(np.asarray(enlarged)[..., None], 3, axis=2)
    if plane.label is not None:
        paint_label(colours, _enlarge(plane.label, height, width))
    return Image.fromarray(colours)


def greys(voxels: NDArray[Any], window: tuple[float, float]) -> Pixels:
    """Voxels as 0 … 255: the ends of the window are black and white, NaN is black."""
    low, high = window
    known = np.nan_to_num(voxels.astype(np.float64), nan=low, posinf=high, neginf=low)
    width = high - low if abs(high - low) > 1e-12 else 1e-12  # a falling window is turned round
    spread = np.clip((known - low) / width, 0, 1) * 255
    return np.rint(spread).astype(np.uint8)


def _enlarge(label: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Each pixel's label, by the nearest voxel; values stay as they are."""
    rows, columns = (
        np.minimum((np.arange(n) + 0.5) * m / n, m - 1).astype(np.intp)
        for n, m in zip((height, width), label.shape, strict=True)
    )
    return np.asarray(label[np.ix_(rows, columns)])


def paint_label(colours: Pixels, label: NDArray[Any]) -> None:
    """Blend label colours into a picture ``(rows, columns, 3)``; outlines are nearly opaque."""
    opacity = np.where(label != 0, _FILL, 0.0)
    edge = np.zeros(label.shape, bool)
    down, across = label[1:] != label[:-1], label[:, 1:] != label[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    opacity[edge & (label != 0)] = _OUTLINE
    paint = coloured(label)
    blended = colours + (paint - colours.astype(np.float64)) * opacity[..., None]
    colours[...] = np.rint(blended).astype(np.uint8)


def _annotate(
    pen: ImageDraw.ImageDraw,
    plane: Plane,
    size: tuple[int, int],
    left: int,
    top: int,
    caption: int,
) -> None:
    """A frame, the four orientation letters outside its edges, and which slice this is."""
    width, height = size
    right, bottom = left + width, top + height
    pen.rectangle((left - 1, top - 1, right, bottom), outline=_FRAME)
    across, down = left + width / 2, top + height / 2
    places = ((left - 12, down), (right + 12, down), (across, top - 12), (across, bottom + 12))
    for letter, place in zip(plane.letters, places, strict=True):
        _write(pen, place, letter, 15, _LETTER, anchor="mm")
    text = f"{plane.name} {plane.index + 1} / {plane.count}"
    _write(pen, (across, caption), text, 13, _QUIET, anchor="mt")


def _draw_scale_bar(pen: ImageDraw.ImageDraw, right: int, y: int, scale: float) -> int:
    """A bar of a round length at the right; returns where it begins."""
    length = next((mm for mm in (200, 100, 50, 20, 10, 5, 2) if mm * scale <= 160), 1)
    text = f"{length} mm"
    left = right - round(length * scale)
    pen.line((left, y, right, y), fill=_TEXT, width=2)
    for end in (left, right):
        pen.line((end, y - 4, end, y + 4), fill=_TEXT, width=2)
    start = left - 10 - pen.textlength(text, font=_font(text, 13))
    _write(pen, (start, y), text, 13, _TEXT, anchor="lm")
    return round(start)


def _draw_legend(pen: ImageDraw.ImageDraw, y: int, limit: int, names: Mapping[int, str]) -> None:
    """A coloured square and a name per label value, as many as fit."""
    x = float(_MARGIN)
    for number, (value, name) in enumerate(names.items()):
        left = len(names) - number
        width = 20 + pen.textlength(name, font=_font(name, 13)) + 22
        if number == _MOST_LEGEND or x + width + 80 > limit:
            _write(pen, (x, y), f"and {left} more", 13, _QUIET, anchor="lm")
            return
        pen.rounded_rectangle((x, y - 6, x + 12, y + 6), 3, fill=label_colour(value))
        _write(pen, (x + 20, y), name, 13, _TEXT, anchor="lm")
        x += width


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: Colour,
    anchor: str = "la",
) -> None:
    pen.text(place, text, fill=colour, font=_font(text, size), anchor=anchor)


def _font(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font; for letters it lacks, DejaVu where the system has it."""
    if not text.isascii():
        try:
            return ImageFont.truetype("DejaVuSans.ttf", size)
        except OSError:
            pass
    return ImageFont.load_default(size)
