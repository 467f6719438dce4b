"""Compressed pixels, decoded by GDCM or by pydicom's decoders: both are told what not to interpret.

GDCM applies a rescale line, one to all frames of a file, and inverts MONOCHROME1: it is given a copy that
says MONOCHROME2. Where streams have more bits than the header declares, the copy declares them, and what lies
above those of the header is looked for. Of run lengths it decodes neither small frames nor unusual bits;
pydicom's decoder, which is plain Python, does.
"""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import UID, RLELossless

from gpuprep.io.dicom.header import damaged, parsing
from gpuprep.io.dicom.meaning import stored_again
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.streams import Stream, first_stream, has_doubtful_sign, is_of_more_bits
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
    """All frames of a file, ``frame, y, x``, and the rescale line that was applied to them.

    ``whole`` are words in which the pixels are yet to be told from the bits around them.
    """

    planes: Plane
    line: tuple[float, float]
    whole: bool = False


def decoded_frames(one: Slice) -> Frames:
    """What the decoder of the file of ``one`` gives.

    Raises:
        InputError: E_UNREADABLE if it cannot, or gives frames of another size, or of a sign that is not the
            header's.
    """
    stream = first_stream(one)
    bits = stream.bits if stream is not None and is_of_more_bits(stream, one) else one.bits_stored
    planes, line = _planes(one, bits)
    if stream is not None and has_doubtful_sign(stream, one):
        _check_sign(stored_again(planes, line), stream, one)
    return Frames(planes, line, has_odd_bits(one) or bits > one.bits_stored)


def _planes(one: Slice, bits: int) -> tuple[Plane, tuple[float, float]]:
    """As many bits of each pixel as are asked for, and the line that was applied to them."""
    if one.decoder == "pydicom" or has_odd_bits(one):
        return _by_pydicom(one), (1.0, 0.0)
    try:
        return _by_gdcm(one, bits), one.file_line
    except InputError:
        if not is_run_length(one):
            raise
        return _by_pydicom(one), (1.0, 0.0)


def is_run_length(one: Slice) -> bool:
    return one.syntax == RLELossless.name


def has_odd_bits(one: Slice) -> bool:
    """Whether bits are such that GDCM decodes them wrongly."""
    return one.high_bit + 1 != one.bits_stored or one.bits_stored < one.bits_allocated == 32


def _check_sign(stored: Plane, stream: Stream, one: Slice) -> None:
    half = 1 << (stream.bits - 1)
    if stored.min() < 0 or stored.max() >= half:
        kinds = ("unsigned", "signed")
        found = f"numbers that are negative or not, as {kinds[stream.signed]} ones of {stream.bits} bits"
        text = f"a frame compressed as {one.syntax} holds {found}, where the header declares"
        raise damaged(one.path, f"{text} {kinds[one.signed]} ones of {one.bits_stored}")


def _by_gdcm(one: Slice, bits: int) -> Plane:
    if one.photometric != "MONOCHROME1" and bits == one.bits_stored:
        return _shaped(itk_array(itk_image(Path(one.path), "GDCMImageIO")), one)
    with open_regular(Path(one.path)) as file:
        header, pixels = file.read(one.header_bytes), file.read()
    if bits != one.bits_stored:
        header = _with_number(_with_number(header, 0x0101, bits, one), 0x0102, bits - 1, one)
    copy = os.memfd_create("gpuprep-dicom", os.MFD_CLOEXEC)
    try:
        with open(copy, "wb", closefd=False) as file:
            file.write(header.replace(_INVERTED, _PLAIN) + pixels)
        return _shaped(itk_array(itk_image(Path(f"/proc/self/fd/{copy}"), "GDCMImageIO")), one)
    except InputError as error:
        raise InputError(error.code, error.message, path=one.path, advice=error.advice) from error
    finally:
        os.close(copy)


def _with_number(header: bytes, element: int, number: int, one: Slice) -> bytes:
    """A header with another number in an element of the group of pixels; all compressed ones are explicit."""
    head = struct.pack("<HH2sH", 0x0028, element, b"US", 2)
    parts = header.split(head)
    if len(parts) < 2:
        raise damaged(one.path, "the tags of its bits are not of the kind that they must be")
    number_bytes = number.to_bytes(2, "little")
    return head.join([parts[0], *(number_bytes + part[2:] for part in parts[1:])])


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
