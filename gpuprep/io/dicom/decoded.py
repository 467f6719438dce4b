"""Compressed pixels, decoded by GDCM or by pydicom's decoders: both are told what not to interpret.

GDCM applies a rescale line, one to all frames of a file, and inverts MONOCHROME1: it is given a copy that
says MONOCHROME2. Of run lengths it decodes neither small frames nor unusual bits; pydicom's decoder, which is
plain Python, does.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID, RLELossless

from gpuprep.io.dicom.header import damaged, parsing
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.hashed import open_regular
from gpuprep.io.itk import itk_array, itk_image
from gpuprep.values.errors import InputError

Plane = NDArray[Any]

_PIXEL_TAGS: list[str | int] = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
]  # fmt: skip
_INVERTED, _PLAIN = b"MONOCHROME1", b"MONOCHROME2"


class Frames(NamedTuple):
    """All frames of a file, ``frame, y, x``, and the rescale line that was applied to them."""

    planes: Plane
    line: tuple[float, float]


def decoded_frames(one: Slice) -> Frames:
    """What the decoder of the file of ``one`` gives.

    Raises:
        InputError: E_UNREADABLE if it cannot, or gives frames of another size.
    """
    if one.decoder == "pydicom" or has_odd_bits(one):
        return Frames(_by_pydicom(one), (1.0, 0.0))
    try:
        return Frames(_by_gdcm(one), one.file_line)
    except InputError:
        if not is_run_length(one):
            raise
        return Frames(_by_pydicom(one), (1.0, 0.0))


def is_run_length(one: Slice) -> bool:
    return one.syntax == RLELossless.name


def has_odd_bits(one: Slice) -> bool:
    """Whether bits are such that GDCM decodes them wrongly."""
    return one.high_bit + 1 != one.bits_stored or one.bits_stored < one.bits_allocated == 32


def _by_gdcm(one: Slice) -> Plane:
    if one.photometric != "MONOCHROME1":
        return _shaped(itk_array(itk_image(Path(one.path), "GDCMImageIO")), one)
    with open_regular(Path(one.path)) as file:
        header, pixels = file.read(one.header_bytes), file.read()
    copy = os.memfd_create("gpuprep-monochrome", os.MFD_CLOEXEC)
    try:
        with open(copy, "wb", closefd=False) as file:
            file.write(header.replace(_INVERTED, _PLAIN) + pixels)
        return _shaped(itk_array(itk_image(Path(f"/proc/self/fd/{copy}"), "GDCMImageIO")), one)
    except InputError as error:
        raise InputError(error.code, error.message, path=one.path, advice=error.advice) from error
    finally:
        os.close(copy)


def _by_pydicom(one: Slice) -> Plane:
    """Stored pixels, as they are."""
    from pydicom.pixels import get_decoder  # takes a while

    path = Path(one.path)
    with parsing(path), warnings.catch_warnings():
        warnings.simplefilter("error")  # whatever a decoder leaves out or makes up
        with open_regular(path) as file:
            dataset = pydicom.dcmread(file, specific_tags=_PIXEL_TAGS)
        decoder = get_decoder(UID(str(dataset.file_meta.TransferSyntaxUID)))
        array, _ = decoder.as_array(dataset, raw=True, correct_unused_bits=False)
    return _shaped(array, one)


def _shaped(array: Plane, one: Slice) -> Plane:
    expected = (one.frames, one.rows, one.columns)
    if array.size != np.prod(expected):
        text = f"decoding gave an array of shape {array.shape}, the header declares {expected}"
        raise damaged(one.path, text)
    return np.asarray(array.reshape(expected))
