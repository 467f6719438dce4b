"""Compressed pixels, decoded by GDCM or by pydicom's decoders: both are told what not to interpret.

GDCM applies a rescale line, one to all frames of a file, inverts MONOCHROME1, takes every piece for a frame
and trips over tags of 64 bits: it is given a copy that has the pixels alone, says MONOCHROME2 and has one
piece a frame. Where streams have more bits than the header declares, the copy declares them, and what lies
above those of the header is looked for. Of run lengths it decodes neither small frames nor unusual bits;
pydicom's decoder, which is plain Python, does.
"""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, RLELossless

from gpuprep.io.dicom.header import damaged, parsing
from gpuprep.io.dicom.meaning import stored_again
from gpuprep.io.dicom.pieces import is_simple, joined_frames
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.streams import Stream, first_stream, has_doubtful_sign, is_of_more_bits
from gpuprep.io.hashed import open_regular
from gpuprep.io.itk import itk_array, itk_image
from gpuprep.values.errors import InputError

Plane = NDArray[Any]

_PIXEL_TAGS: list[str | int] = [
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
]  # fmt: skip
_SECONDARY_CAPTURE = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
_NO_LINE = (1.0, 0.0)


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
        return _by_pydicom(one), _NO_LINE
    if one.photometric != "MONOCHROME1" and bits == one.bits_stored and is_simple(one):
        with suppress(InputError):
            return _shaped(itk_array(itk_image(Path(one.path), "GDCMImageIO")), one), one.file_line
    try:
        return _by_gdcm(one, bits), _NO_LINE
    except InputError:
        if not is_run_length(one):
            raise
        return _by_pydicom(one), _NO_LINE


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
    """Stored pixels, of a copy that has one piece a frame and no tags but those of the pixels."""
    with parsing(Path(one.path)):
        bare = _bare(one)
        bare.SOPClassUID = bare.file_meta.MediaStorageSOPClassUID = _SECONDARY_CAPTURE
        bare.SOPInstanceUID = bare.file_meta.MediaStorageSOPInstanceUID = UID("2.25.1")
        bare.PhotometricInterpretation = "MONOCHROME2"
        bare.BitsStored, bare.HighBit = bits, bits - 1
        copy = os.memfd_create("gpuprep-dicom", os.MFD_CLOEXEC)
    try:
        with open(copy, "wb", closefd=False) as file:
            bare.save_as(file, enforce_file_format=True)
        return _shaped(itk_array(itk_image(Path(f"/proc/self/fd/{copy}"), "GDCMImageIO")), one)
    except InputError as error:
        raise InputError(error.code, error.message, path=one.path, advice=error.advice) from error
    finally:
        os.close(copy)


def _by_pydicom(one: Slice) -> Plane:
    """Stored pixels, as they are."""
    from pydicom.pixels import get_decoder  # takes a while

    with parsing(Path(one.path)), warnings.catch_warnings():
        warnings.simplefilter("error")  # whatever a decoder leaves out or makes up
        bare = _bare(one)
        decoder = get_decoder(bare.file_meta.TransferSyntaxUID)
        array, _ = decoder.as_array(bare, raw=True, correct_unused_bits=False)
    return _shaped(array, one)


def _bare(one: Slice) -> Dataset:
    """The pixels of a file and their tags, with one piece a frame and no table of offsets."""
    with open_regular(Path(one.path)) as file:
        read = pydicom.dcmread(file, specific_tags=_PIXEL_TAGS, stop_before_pixels=True)
    bare = Dataset(read)
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = UID(str(read.file_meta.TransferSyntaxUID))
    bare.PixelData = encapsulate(joined_frames(one), has_bot=False)
    bare["PixelData"].VR = "OB"
    bare["PixelData"].is_undefined_length = True
    return bare


def _shaped(array: Plane, one: Slice) -> Plane:
    expected = (one.frames, one.rows, one.columns)
    if array.size != np.prod(expected):
        text = f"decoding gave an array of shape {array.shape}, the header declares {expected}"
        raise damaged(one.path, text)
    return np.asarray(array.reshape(expected))
