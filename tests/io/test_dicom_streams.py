"""Compressed frames whose own bits and sign are not those of the header: read as they are, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from support.dicom_series import dataset

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

CODECS = ("JPEG", JPEGLSLossless, JPEG2000Lossless)
ALL_BITS = np.random.default_rng(5).integers(0, 65_536, (32, 32), np.uint16)
TWELVE = ALL_BITS >> 4


def bits_tags(allocated: int, stored: int, signed: int) -> dict[str, int]:
    return {
        "BitsAllocated": allocated, "BitsStored": stored, "HighBit": stored - 1,
        "PixelRepresentation": signed,
    }  # fmt: skip


def written(folder: Path, codec: str, pixels: np.ndarray, **tags: object) -> Path:
    """A slice compressed with all bits of its dtype; then the header says something else."""
    held = bits_tags(8 * pixels.itemsize, 8 * pixels.itemsize, int(pixels.dtype.kind == "i"))
    one = dataset(Rows=32, Columns=32, PixelData=pixels.tobytes(), **held)
    if codec == "JPEG":
        _by_gdcm(one, folder, pixels)
    else:
        one["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
        one.compress(codec)
    for name, value in tags.items():
        setattr(one, name, value)
    one.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder / "a.dcm"


def _by_gdcm(one: Dataset, folder: Path, pixels: np.ndarray) -> None:
    """JPEG without loss, which pydicom does not write."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "gdcm.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG")
    writer.Execute(sitk.GetImageFromArray(pixels))
    foreign = pydicom.dcmread(folder / "gdcm.dcm")
    one.file_meta.TransferSyntaxUID = foreign.file_meta.TransferSyntaxUID
    one.PixelData = foreign.PixelData
    one["PixelData"].is_undefined_length = True


def load(path: Path, reader: str = "checked", **policy: str) -> np.ndarray:
    return read(Source(str(path)), ReadRules(reader=reader, policy=policy)).volumes[0].array[0]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("inverted", [False, True])
def test_bits_above_the_declared_ones_are_not_cut_off_in_silence(
    tmp_path: Path, codec: str, inverted: bool
) -> None:
    """A decoder that goes by the header would give 1869 for 55117."""
    tags = {**bits_tags(16, 12, 0), "RescaleSlope": 2, "RescaleIntercept": -1024}
    if inverted:
        tags |= {"PhotometricInterpretation": "MONOCHROME1"}
    path = written(tmp_path, codec, ALL_BITS, **tags)
    over = int((ALL_BITS > 4095).sum())
    with pytest.raises(InputError, match=f"E_PIXEL_TYPE.*{over} pixels use bits outside of the 12"):
        load(path)
    taken = load(path, E_PIXEL_TYPE="warn")
    np.testing.assert_array_equal(taken, (ALL_BITS & 4095) * 2.0 - 1024)
    path = written(tmp_path, codec, TWELVE, **tags)
    np.testing.assert_array_equal(load(path), TWELVE * 2.0 - 1024)
    reason = "inverts" if inverted else "compares the 16 bits of compressed pixels with no 12"
    with pytest.raises(InputError, match=f"E_ITK.*{reason}"):
        load(path, "itk")


@pytest.mark.parametrize("codec", CODECS)
def test_signed_pixels_in_streams_of_whole_words_keep_their_sign(
    tmp_path: Path, codec: str
) -> None:
    pixels = ALL_BITS.view(np.int16) >> 4
    path = written(tmp_path, codec, pixels, **bits_tags(16, 12, 1))
    np.testing.assert_array_equal(load(path), pixels)


@pytest.mark.parametrize("codec", CODECS)
def test_a_stream_of_more_bits_than_a_word_is_refused(tmp_path: Path, codec: str) -> None:
    path = written(tmp_path, codec, ALL_BITS, **bits_tags(8, 8, 0))
    with pytest.raises(
        InputError, match=r"E_UNREADABLE.*has pixels of 16 bits, the header declares 8"
    ):
        load(path)


@pytest.mark.parametrize("codec", ["JPEG", JPEG2000Lossless])
def test_upper_numbers_of_fewer_bits_than_declared_have_no_certain_sign(
    tmp_path: Path, codec: str
) -> None:
    """217 of an unsigned stream of 8 bits: -39, or 217 of 16 signed bits? Decoders differ."""
    pixels = (ALL_BITS >> 8).astype(np.uint8)
    path = written(tmp_path, codec, pixels, **bits_tags(16, 16, 1))
    with pytest.raises(
        InputError, match=r"E_UNREADABLE.*unsigned ones of 8 bits.*signed ones of 16"
    ):
        load(path)
    path = written(tmp_path, codec, pixels >> 1, **bits_tags(16, 16, 1))
    np.testing.assert_array_equal(load(path), pixels >> 1)
    path = written(tmp_path, codec, pixels, **bits_tags(16, 16, 0))
    np.testing.assert_array_equal(load(path), pixels)


def test_a_signed_stream_in_an_unsigned_file_is_refused_where_it_goes_below_zero(
    tmp_path: Path,
) -> None:
    pixels = ALL_BITS.view(np.int16)
    path = written(tmp_path, JPEG2000Lossless, pixels, **bits_tags(16, 16, 0))
    with pytest.raises(
        InputError, match=r"E_UNREADABLE.*signed ones of 16 bits.*unsigned ones of 16"
    ):
        load(path)
    path = written(tmp_path, JPEG2000Lossless, pixels & 0x7FFF, **bits_tags(16, 16, 0))
    np.testing.assert_array_equal(load(path), pixels & 0x7FFF)


@pytest.mark.parametrize(("tag", "kind", "bits"), [(0x7FE00008, "OF", 32), (0x7FE00009, "OD", 64)])
def test_pixels_that_are_floats_are_never_taken_for_whole_numbers(
    tmp_path: Path, tag: int, kind: str, bits: int
) -> None:
    """A parametric map's element in a file that calls itself CT: its bytes are as many as of int32."""
    one = dataset(PixelData=None, **bits_tags(32, 32, 0))
    one.add_new(tag, kind, np.arange(20, dtype=f"<f{bits // 8}").tobytes())
    one.save_as(tmp_path / "f.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_PIXEL_TYPE.*floats"):
        load(tmp_path / "f.dcm")
