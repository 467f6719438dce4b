"""DICOM pixels as ITK reads them, file by file in the audited order, under ``input.reader: itk``.

Where slices lie is never ITK's to say: it takes the mean of uneven steps, and knows no tilt. Where each file
of one slice lies is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.by_itk import cannot, native_reading
from gpuprep.io.dicom.decoded import has_odd_bits
from gpuprep.io.dicom.meaning import gives_whole_numbers, narrow
from gpuprep.io.dicom.pieces import is_simple
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.streams import first_stream, has_doubtful_sign, is_of_more_bits
from gpuprep.io.itk import itk_affine, itk_array, itk_image

Plane = NDArray[Any]

_AGREE = 1e-4  # mm and relative: what is printed in a header with few digits


def check_readable(slices: Sequence[Slice]) -> None:
    """Refuse by the headers what ITK cannot read, or reads otherwise.

    Raises:
        InputError: E_ITK.
    """
    for one in slices:
        if reason := _reason(one):
            raise cannot(one.path, reason)


def _reason(one: Slice) -> str:
    if one.photometric == "MONOCHROME1":
        return "it inverts MONOCHROME1"
    if one.table is not None:
        return "it applies no Modality LUT"
    if one.decoder == "pydicom":
        return f"it has no decoder for {one.syntax}"
    if one.line != one.file_line:
        return "it applies one rescale line to all frames of a file, and this one has several"
    if one.compressed and one.frame == 0 and not is_simple(one):
        return "it takes every piece of compressed pixels for a frame, and reads no extended table of offsets"
    if has_odd_bits(one):
        bits = f"{one.bits_stored} bits up to bit {one.high_bit} of {one.bits_allocated}"
        return f"it reads pixels of {bits} wrongly"
    stream = first_stream(one) if one.frame == 0 else None
    if stream and (is_of_more_bits(stream, one) or has_doubtful_sign(stream, one)):
        return f"it compares the {stream.bits} bits of compressed pixels with no {one.bits_stored} declared"
    return ""


def itk_planes(slices: Sequence[Slice]) -> Iterator[Plane]:
    """The plane of each slice.

    Raises:
        InputError: E_ITK if ITK cannot read a file, or sees another size or place.
    """
    path, frames = "", np.empty(0)
    for one in slices:
        if one.path != path:
            path, frames = one.path, _frames(one)
        plane = frames[one.frame]
        if one.tile is not None:
            top, left = one.tile.top, one.tile.left
            plane = plane[top : top + one.rows, left : left + one.columns]
        yield _settled(plane, one)


def _frames(one: Slice) -> Plane:
    with native_reading(one.path):
        image = itk_image(Path(one.path), "GDCMImageIO")
    array, whole = itk_array(image), one.image
    expected = (whole.frames, whole.rows, whole.columns)
    if array.size != np.prod(expected):
        raise cannot(one.path, f"it gives an array of shape {array.shape}, not {expected}")
    affine, _ = itk_affine(image)
    if one.frames == 1 and one.tile is None:
        _check_place(affine, one)
    return array.reshape(expected)


def _check_place(affine: NDArray[np.float64], one: Slice) -> None:
    down, right = one.pixel_spacing
    own = np.array(
        [
            np.multiply(one.orientation[:3], right),
            np.multiply(one.orientation[3:], down),
            one.position,
        ]
    )
    theirs = affine[:3, [0, 1, 3]].T
    if not np.allclose(theirs, own, rtol=_AGREE, atol=_AGREE):
        told = [[float(f"{value:.6g}") for value in row] for row in (theirs.ravel(), own.ravel())]
        raise cannot(one.path, f"it places the slice by {told[0]}, where its header says {told[1]}")


def _settled(plane: Plane, one: Slice) -> Plane:
    """ITK's numbers in the dtype that the checked reader gives them."""
    if one.line == (1.0, 0.0):
        return narrow(plane)
    return narrow(np.rint(plane).astype(np.int64) if gives_whole_numbers(one.line) else plane)
