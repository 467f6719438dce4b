"""Siemens mosaics: the slices of a volume side by side in one image, taken apart.

The header places the image as if it were one large slice about the volume's own middle. Tiles run along rows,
as many in each as the root of their number, rounded up; the first slice begins half the difference of the two
sizes inside the image's position; the others follow along ``SliceNormalVector``, which may point against the
product of row and column. So nibabel's ``MosaicWrapper``, dcm2niix and SPM have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from gpuprep.io.dicom.slice import Slice, Tile
from gpuprep.io.limits import MAX_AXIS
from gpuprep.values.errors import InputError

_PARALLEL = 0.999  # least cosine between the stated normal and that of rows and columns


def unfolded(slices: Iterable[Slice], *, or_whole: bool = False) -> list[Slice]:
    """The slices, each mosaic among them as those that it holds.

    With ``or_whole`` a mosaic that cannot be taken apart stays one slice.

    Raises:
        InputError: E_MOSAIC if a header does not say how to take it apart; E_NO_GEOMETRY if it has no place;
            E_LIMIT if it tells of more slices than an axis may have.
    """
    found: list[Slice] = []
    for held in slices:
        try:
            found += _tiles(held) if held.mosaic else (held,)
        except InputError:
            if not or_whole:
                raise
            found.append(held)
    return found


def _tiles(image: Slice) -> Iterator[Slice]:
    mosaic = image.mosaic
    assert mosaic is not None
    if mosaic.slices > MAX_AXIS:
        text = f"it tells of {mosaic.slices:,} slices, more than the allowed {MAX_AXIS:,}"
        raise InputError("E_LIMIT", text, path=image.path, advice="Look at the file.")
    across = math.ceil(math.sqrt(mosaic.slices))
    _check(image, across)
    rows, columns = image.rows // across, image.columns // across
    row, column = (
        np.divide(part, np.linalg.norm(part))
        for part in (image.orientation[:3], image.orientation[3:])
    )
    down, right = image.pixel_spacing
    first = (
        np.asarray(image.position)
        + row * right * (image.columns - columns) / 2
        + column * down * (image.rows - rows) / 2
    )
    normal = np.cross(row, column)
    step = normal * math.copysign(mosaic.step, float(normal @ mosaic.normal))
    for number in range(mosaic.slices):
        tile = Tile(
            image.rows,
            image.columns,
            number // across * rows,
            number % across * columns,
            number,
            image.position,
        )
        yield replace(
            image,
            rows=rows,
            columns=columns,
            position=tuple((first + number * step).tolist()),
            claimed_step=mosaic.step,
            mosaic=None,
            tile=tile,
        )


def _check(image: Slice, across: int) -> None:
    mosaic = image.mosaic
    assert mosaic is not None
    missing = {
        "how many slices it holds": not mosaic.slices,
        "to which side its slices go": len(mosaic.normal) != 3,
        "the spacing between slices": not mosaic.step,
    }
    what = f"the image of {image.columns}×{image.rows} is a mosaic of slices"
    if any(missing.values()):
        lacking = " and ".join(each for each, lacks in missing.items() if lacks)
        raise _refused(image, f"{what}, and its header does not say {lacking}")
    if image.rows % across or image.columns % across or not image.rows or not image.columns:
        raise _refused(image, f"{what} that cannot be {across}×{across} tiles of one size")
    if not (image.position and image.orientation and image.pixel_spacing):
        text = f"{what} without position, orientation or pixel spacing"
        raise InputError("E_NO_GEOMETRY", text, path=image.path)
    normal = np.cross(image.orientation[:3], image.orientation[3:])
    length = np.linalg.norm(normal) * np.linalg.norm(mosaic.normal)
    if not length or abs(float(normal @ mosaic.normal)) < _PARALLEL * length:
        told = ", ".join(f"{each:.4g}" for each in mosaic.normal)
        raise _refused(image, f"{what} that go to ({told}), not along their own normal")


def _refused(image: Slice, text: str) -> InputError:
    advice = (
        "Export it with its private tags (NumberOfImagesInMosaic and SliceNormalVector of Siemens' CSA "
        "header), or as single slices."
    )
    return InputError("E_MOSAIC", text, path=image.path, advice=advice)
