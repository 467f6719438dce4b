"""Pixels that mean something through a table, and pixels that are meant to be shown inverted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from support.dicom_series import dataset, write_series

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

WORDS = np.arange(50, dtype="<u2") ** 2 + 7


def load(path: Path, **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(policy=policy))


def lut(
    entries: bytes, first: int = 0, bits: int = 16, count: int | None = None, vr: str = "OW"
) -> list[Dataset]:
    item = Dataset()
    number = len(entries) // 2 if count is None else count
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [number, first, bits])
    item.add_new("LUTData", vr, entries)
    item.ModalityLUTType = "US"
    return [item]


def stored(signed: bool) -> np.ndarray:
    """Twenty pixels below, within and beyond a table."""
    return np.linspace(-40, 80, 20).round().astype("<i2") if signed else np.arange(0, 100, 5, "<u2")


def series(tmp_path: Path, **tags: Any) -> Path:
    return write_series(tmp_path / "s", [0, 1, 2, 3, 4], **tags)


@pytest.mark.parametrize(("signed", "first"), [(0, 0), (0, 17), (1, -20), (1, 30)])
def test_a_table_gives_what_pydicom_makes_of_it(tmp_path, signed, first):
    pixels = stored(bool(signed))
    tags = {"PixelRepresentation": signed, "PixelData": pixels.tobytes()}
    folder = series(tmp_path, ModalityLUTSequence=lut(WORDS.tobytes(), first), **tags)
    scan = load(folder)
    one = pydicom.dcmread(next(folder.iterdir()))
    expected = apply_modality_lut(pixels.astype(np.int32), one).reshape(4, 5)
    for plane in scan.volumes[0].array:
        np.testing.assert_array_equal(plane, expected)
    assert scan.volumes[0].array.dtype == peek(Source(str(folder)), ReadRules()).dtype == "uint16"
    assert (scan.header["table"], scan.findings) == (50, ())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_a_table_is_the_same_in_every_syntax(tmp_path, syntax):
    pixels = np.tile(np.arange(0, 100, 5, "<u2"), 52)[:1024]
    one = dataset(
        Rows=32,
        Columns=32,
        PixelData=pixels.tobytes(),
        ModalityLUTSequence=lut(WORDS.tobytes(), 17),
    )
    if syntax == RLELossless:
        one.compress(syntax)
    one.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        one.PixelData = pixels.astype(">u2").tobytes()
        one.ModalityLUTSequence[0].LUTData = WORDS.astype(">u2").tobytes()
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    expected = WORDS[np.clip(pixels.astype(int) - 17, 0, 49)].reshape(32, 32)
    np.testing.assert_array_equal(load(tmp_path / "a.dcm").volumes[0].array[0], expected)


@pytest.mark.parametrize("count", [50, 49])
def test_entries_of_eight_bits_lie_in_pairs_or_in_words_of_their_own(tmp_path, count):
    entries = np.arange(200, 200 + count, dtype=np.uint8)
    pairs = lut(entries.tobytes() + bytes(count % 2), bits=8, count=count)
    words = lut(entries.astype("<u2").tobytes(), bits=8, vr="US")
    words[0].LUTData = entries.tolist()
    for number, table in enumerate((pairs, words)):
        folder = write_series(tmp_path / str(number), [0, 1, 2, 3, 4], ModalityLUTSequence=table)
        array = load(folder).volumes[0].array
        assert array.dtype == np.uint8
        assert array[0].ravel().tolist() == list(range(200, 220))
        assert array[4].max() == 199 + count


def test_a_table_of_all_words_is_declared_with_zero(tmp_path):
    entries = np.arange(65_536, dtype="<u2")[::-1]
    table = lut(entries.tobytes(), count=0)
    pixels = np.linspace(0, 65_535, 20).round().astype("<u2")
    array = load(series(tmp_path, ModalityLUTSequence=table, PixelData=pixels.tobytes()))
    np.testing.assert_array_equal(array.volumes[0].array[0].ravel(), 65_535 - pixels.astype(int))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (lut(WORDS.tobytes()[:-2], count=50), r"LUTData .*not 50 entries of 16 bits \(it has 98"),
        (lut(WORDS.tobytes() + b"ab", count=50), "it has 102"),
        (lut(b"", count=50), "it has 0"),
        (lut(bytes(49), bits=8, count=51), "not 51 entries of 8 bits"),
        (lut(WORDS.tobytes(), bits=8), r"8 bits \(they go up to 2408"),
        (lut(WORDS.tobytes(), bits=32), "it says 32"),
        (lut(WORDS.tobytes(), bits=0), "it says 0"),
        ([Dataset()], "LUTDescriptor .*three whole numbers"),
        (lut(WORDS.tobytes()) * 2, r"one table \(it holds 2"),
    ],
)  # fmt: skip
def test_a_table_that_is_not_what_it_declares_is_refused_by_its_header(tmp_path, table, words):
    folder = series(tmp_path, ModalityLUTSequence=table)
    with pytest.raises(InputError, match=f"E_UNREADABLE.*{words}"):
        peek(Source(str(folder)), ReadRules())


def test_a_table_beside_a_line_has_two_meanings(tmp_path):
    folder = series(
        tmp_path, ModalityLUTSequence=lut(WORDS.tobytes()), RescaleSlope=1, RescaleIntercept=-1024
    )
    with pytest.raises(
        InputError, match=r"E_PIXEL_TYPE.*table \(Modality LUT\) and the line 1·x-1024"
    ):
        load(folder)


def test_tables_that_differ_between_slices_are_told_as_lines_are(tmp_path):
    folder = series(tmp_path, ModalityLUTSequence=lambda n: lut((WORDS + n % 2).tobytes()))
    with pytest.raises(InputError, match=r"E_MIXED_RESCALE.*a table from 0 on \(3 slices\)"):
        load(folder)
    array = load(folder, E_MIXED_RESCALE="fix").volumes[0].array
    assert array[:2, 0, 0].tolist() == [7, 2408 + 1]


def test_padding_goes_through_the_table(tmp_path):
    folder = series(tmp_path, ModalityLUTSequence=lut(WORDS.tobytes()), PixelPaddingValue=3)
    scan = load(folder)
    assert (scan.header["padding_value"], scan.header["padding_limit"]) == (16, 16)
    assert [told.values["voxels"] for told in scan.findings] == [1]  # the first slice has 0 to 19


INVERTED = {"W_MONOCHROME1": "fix"}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("signed", "bits"), [(0, 12), (1, 12), (0, 16), (1, 16)])
@pytest.mark.parametrize("line", [(1, 0), (2, -1024), (0.5, 3)])
def test_monochrome1_is_told_refused_or_inverted(tmp_path, compressed, signed, bits, line):
    low = -(1 << (bits - 1)) * signed
    high = low + (1 << bits) - 1
    pixels = np.linspace(low, high, 1024).round().astype("<i2" if signed else "<u2")
    one = dataset(
        Rows=32, Columns=32, PixelData=pixels.tobytes(), PhotometricInterpretation="MONOCHROME1",
        BitsStored=bits, HighBit=bits - 1, PixelRepresentation=signed, RescaleSlope=line[0],
        RescaleIntercept=line[1], ImageComments="MONOCHROME1 it is",
    )  # fmt: skip
    if compressed:
        one.compress(RLELossless)
    path = tmp_path / "a.dcm"
    one.save_as(path, enforce_file_format=True)
    values = pixels.reshape(32, 32).astype(float)
    for policy, expected, words in (
        ({}, values * line[0] + line[1], "are not inverted"),
        (INVERTED, (low + high - values) * line[0] + line[1], "are inverted"),
    ):
        scan = load(path, **policy)
        np.testing.assert_array_equal(scan.volumes[0].array[0], expected)
        assert words in next(f.message for f in scan.findings if f.code == "W_MONOCHROME1")
    with pytest.raises(InputError, match="W_MONOCHROME1") as error:
        load(path, W_MONOCHROME1="error")
    assert "{W_MONOCHROME1: fix} inverts them" in error.value.advice


@pytest.mark.parametrize("name", ["CT1_J2KR", "CT1_JLSL", "CT1_JPLL", "CT1_RLE"])
def test_no_decoder_inverts_on_its_own(scans, tmp_path, name):
    path = scans / f"nasty_dicom/ct1_6_transfer_syntaxes/{name}"
    plain = load(path).volumes[0].array
    one = pydicom.dcmread(path)
    one.PhotometricInterpretation = "MONOCHROME1"
    one.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(load(tmp_path / "a.dcm").volumes[0].array, plain)


@pytest.mark.parametrize("policy", [{}, INVERTED])
def test_padding_of_monochrome1_stays_what_it_is(tmp_path, policy):
    """It is declared as stored, so it is inverted with the pixels."""
    folder = series(
        tmp_path, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=3, BitsStored=12,
        HighBit=11, RescaleSlope=2, RescaleIntercept=-1024,
    )  # fmt: skip
    scan = load(folder, **policy)
    value = (4095 - 3 if policy else 3) * 2 - 1024
    assert (scan.header["padding_value"], scan.header["padding_limit"]) == (value, value)
    (told,) = (f for f in scan.findings if f.code == "W_PADDING")
    assert told.values["voxels"] == int((scan.volumes[0].array == value).sum()) == 1


def test_a_table_of_inverted_pixels_is_mirrored_after_it(tmp_path):
    folder = series(
        tmp_path, ModalityLUTSequence=lut(WORDS.tobytes()), PhotometricInterpretation="MONOCHROME1"
    )
    array = load(folder, **INVERTED).volumes[0].array
    np.testing.assert_array_equal(array[0].ravel(), 65_535 - WORDS[:20].astype(int))


def test_a_range_of_padding_is_no_larger_than_the_table_it_is_looked_up_in(tmp_path):
    """All numbers of 32 bits would be 32 GiB of them."""
    table = lut(WORDS.tobytes(), first=3)
    tags = {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31, "ModalityLUTSequence": table}
    one = dataset(PixelData=np.arange(20, dtype="<u4").tobytes(), **tags)
    one.add_new("PixelPaddingValue", "UL", 10)
    one.add_new("PixelPaddingRangeLimit", "UL", 2**32 - 1)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    scan = load(tmp_path / "a.dcm")
    assert (scan.header["padding_value"], scan.header["padding_limit"]) == (WORDS[7], WORDS[49])
