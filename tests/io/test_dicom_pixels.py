"""DICOM values: what is stored, through one line, whatever the bits, the order and the syntax."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless
from support.dicom_series import dataset, enhanced, write_series

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

LINES = [(1, 0), (1, -1024), (-2, 7), (0.25, -3), (70_000, 1), (16, -1024)]


def load(path: Path, **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(policy=policy))


def column(scan: Scan) -> list[float]:
    return scan.volumes[0].array[:, 0, 0].tolist()


def words(signed: int, bits: int, stored: int) -> np.ndarray:
    """Twenty pixels over the whole range of ``stored`` bits."""
    low = -(2 ** (stored - 1)) if signed else 0
    ends = np.linspace(low, low + 2**stored - 1, 20).round()
    return ends.astype(f"<{'i' if signed else 'u'}{bits // 8}")


@pytest.mark.parametrize(("signed", "line"), list(product([0, 1], LINES)))
@pytest.mark.parametrize(("bits", "stored"), [(8, 8), (16, 16), (16, 12), (32, 32), (32, 20)])
def test_values_are_those_of_the_standard_and_of_gdcm(tmp_path, bits, stored, signed, line):
    pixels = words(signed, bits, stored)
    tags = {
        "BitsAllocated": bits, "BitsStored": stored, "HighBit": stored - 1, "PixelRepresentation": signed,
        "RescaleSlope": line[0], "RescaleIntercept": line[1], "PixelData": pixels.tobytes(),
    }  # fmt: skip
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4], **tags)
    array = load(folder).volumes[0].array
    expected = pixels.astype(np.float64).reshape(4, 5) * line[0] + line[1]
    exact = array.dtype.kind in "iu" or np.abs(expected).max() < 2**24
    for plane in array:
        np.testing.assert_allclose(plane, expected, rtol=0 if exact else 1e-6)
    if (bits, stored) == (32, 20):
        return  # GDCM takes the mask of 20 bits to each half of a word
    image = sitk.ReadImage(str(next(folder.iterdir())), imageIO="GDCMImageIO")
    np.testing.assert_allclose(array[0], sitk.GetArrayFromImage(image)[0], rtol=1e-6)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_syntax_changes_no_value(tmp_path, syntax, bits):
    pixels = np.repeat(words(0, bits, bits), 20)
    for height in range(5):
        one = dataset(
            ImagePositionPatient=[0, 0, height], Rows=20, Columns=20, BitsAllocated=bits,
            BitsStored=bits, HighBit=bits - 1, PixelData=pixels.tobytes(),
        )  # fmt: skip
        if syntax == RLELossless:
            one.compress(syntax)
        one.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            one.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
            one["PixelData"].VR = "OB" if bits == 8 else "OW"
        pydicom.dcmwrite(tmp_path / f"{height}.dcm", one, enforce_file_format=True)
    for plane in load(tmp_path).volumes[0].array:
        np.testing.assert_array_equal(plane, pixels.reshape(20, 20))


def test_negative_pixels_need_no_copies_of_their_sign_above_them(tmp_path):
    pixels = np.arange(-10, 10, dtype="<i2")
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    zeros = (pixels.view("<u2") & 0x0FFF).tobytes()
    for number, stored in enumerate([zeros, pixels.tobytes()]):
        folder = write_series(tmp_path / str(number), [0, 1, 2, 3, 4], PixelData=stored, **tags)
        np.testing.assert_array_equal(load(folder).volumes[0].array[2].ravel(), pixels)


@pytest.mark.parametrize(
    ("bits", "pixels"),
    [
        ({"BitsStored": 12, "HighBit": 11}, [5000]),
        ({"BitsStored": 12, "HighBit": 15}, [4096 + 5]),
        ({"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}, [0x2FFF]),
    ],
)
def test_pixels_outside_of_the_declared_bits_are_never_cut_in_silence(tmp_path, bits, pixels):
    """As writers leave them that rescale pixels and not the header: GDCM makes 904 of 5000."""
    stored = np.zeros(20, "<u2")
    stored[: len(pixels)] = pixels
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4], PixelData=stored.tobytes(), **bits)
    with pytest.raises(InputError, match="E_PIXEL_TYPE: 5 pixels use bits outside of the 12"):
        load(folder)
    (told,) = load(folder, E_PIXEL_TYPE="warn").findings
    assert told.values == {"pixels": 5}


def test_a_line_beyond_all_numbers_gives_infinite_voxels_that_are_told(tmp_path):
    tags = {"RescaleSlope": "1e300", "RescaleIntercept": "1e308"}
    scan = load(write_series(tmp_path / "s", [0, 1, 2, 3, 4], **tags))
    assert [(told.code, told.values["infinite"]) for told in scan.findings] == [("W_NAN", 100)]


def test_an_overlay_in_unused_bits_is_taken_off(tmp_path):
    stored = (np.arange(20, dtype="<u2") | 0x8000).tobytes()
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], PixelData=stored, BitsStored=12, HighBit=11
    )
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.add_new(0x60000102, "US", 15)
        one.save_as(path)
    assert load(folder).volumes[0].array[0].ravel().tolist() == list(range(20))


def test_bits_may_lie_high_as_long_as_they_are_declared(tmp_path):
    stored = (np.arange(20, dtype="<u2") << 4).tobytes()
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], PixelData=stored, BitsStored=12, HighBit=15
    )
    assert load(folder).volumes[0].array[0].ravel().tolist() == list(range(20))


def test_slices_may_differ_in_bits_and_sign(tmp_path):
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], PixelRepresentation=lambda n: n % 2,
        PixelData=lambda n: np.full(20, 65_000, "<u2").tobytes(),
    )  # fmt: skip
    assert column(load(folder)) == [65_000, -536, 65_000, -536, 65_000]


@pytest.mark.parametrize("tags", [{}, {"RescaleSlope": 1, "RescaleIntercept": -1024}])
def test_monochrome1_is_told_and_not_inverted(tmp_path, tags):
    """GDCM gives 65535 − x: right for a screen, wrong for Hounsfield units."""
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], PhotometricInterpretation="MONOCHROME1", **tags
    )
    scan = load(folder)
    offset = tags.get("RescaleIntercept", 0)
    assert column(scan) == [100 * n + offset for n in range(5)]
    assert [told.code for told in scan.findings] == ["W_MONOCHROME1"]


def test_some_slices_of_monochrome1_are_another_kind(tmp_path):
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4],
        PhotometricInterpretation=lambda n: "MONOCHROME1" if n == 2 else "MONOCHROME2",
    )  # fmt: skip
    with pytest.raises(InputError, match="E_MIXED_SERIES"):
        load(folder)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_frame_has_its_own_line_even_where_the_shared_one_differs(tmp_path, compressed):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8], [(3, 1)] * 5, (2, -7))
    if compressed:
        one = pydicom.dcmread(path)
        one.compress(RLELossless)
        one.save_as(path)
    assert column(load(path)) == [300 * n + 1 for n in range(5)]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_frame_without_a_line_is_as_stored(tmp_path, compressed):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8], [(3, 1)] * 5)
    one = pydicom.dcmread(path)
    for frame in (0, 3):
        del one.PerFrameFunctionalGroupsSequence[frame].PixelValueTransformationSequence
    if compressed:
        one.compress(RLELossless)
    one.save_as(path)
    assert column(load(path, E_MIXED_RESCALE="fix")) == [0, 301, 601, 300, 1201]


def test_slopes_of_pet_slices_differ_as_they_should(tmp_path):
    tags = {"Modality": "PT", "RescaleSlope": lambda n: 0.5 * n + 0.5, "RescaleIntercept": 0}
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4], **tags)
    scan = load(folder)
    assert column(scan) == [100 * n * (0.5 * n + 0.5) for n in range(5)]
    assert scan.findings == ()
    units = write_series(
        tmp_path / "u", [0, 1, 2, 3], Units=lambda n: ["BQML", "CNTS"][n // 2], **tags
    )
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*Units BQML; .*Units CNTS"):
        load(units)


@pytest.mark.parametrize(
    ("tags", "voxels", "ends"),
    [
        ({"PixelPaddingValue": 63536}, 5, (-3024, -3024)),
        ({"PixelPaddingValue": 63536, "PixelPaddingRangeLimit": 63546}, 10, (-3024, -3014)),
        ({"PixelPaddingValue": 10, "PixelPaddingRangeLimit": 0}, 15, (-1024, -1014)),
    ],
)  # fmt: skip
def test_padding_is_a_range_of_the_sign_of_the_pixels(tmp_path, tags, voxels, ends):
    """−2000 is often declared as the unsigned word 63536."""
    stored = np.full(20, 500, "<u2")
    stored[[0, 1]] = [63536, 63540] if ends[0] < -1024 else [0, 5]
    stored[2] = 10 if ends[0] == -1024 else 500
    for path in write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], PixelData=stored.tobytes(), RescaleSlope=1,
        RescaleIntercept=-1024,
    ).iterdir():  # fmt: skip
        one = pydicom.dcmread(path)
        one.PixelRepresentation = int(ends[0] < -1024)
        for name, value in tags.items():
            one.add_new(name, "US", value)
        one.save_as(path)
    scan = load(tmp_path / "s")
    assert (scan.header["padding_value"], scan.header["padding_limit"]) == ends
    (told,) = scan.findings
    assert told.values["voxels"] == voxels
    assert told.values.get("limit", ends[0]) == ends[1]


def test_more_pixels_than_the_header_counts_are_refused(tmp_path):
    folder = write_series(tmp_path / "s", [0, 1, 2], PixelData=np.arange(40, dtype="<u2").tobytes())
    with pytest.raises(InputError, match=r"E_UNREADABLE.*80 bytes hold more than the 40 of 1×4×5"):
        load(folder)
    padded = write_series(tmp_path / "p", [0, 1, 2], PixelData=bytes(range(40)) + bytes(8))
    assert load(padded).geometry.shape == (3, 4, 5)


def test_a_private_syntax_is_named(tmp_path):
    (path,) = write_series(tmp_path / "s", [0]).iterdir()
    one = pydicom.dcmread(path)
    one.file_meta.TransferSyntaxUID = "1.2.840.113619.5.2"
    one.save_as(path, implicit_vr=True, little_endian=True)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*1\.2\.840\.113619\.5\.2"):
        load(path)


@pytest.mark.parametrize("name", ["J2KI", "J2KR", "JLSL", "JLSN", "JPLL"])
def test_a_frame_of_another_size_than_the_header_says_is_refused(scans, tmp_path, name):
    """Of JPEG-LS, GDCM fills the rows and columns of the header, whatever they are: a sheared picture."""
    path = scans / f"nasty_dicom/ct1_6_transfer_syntaxes/CT1_{name}"
    one = pydicom.dcmread(path)
    rows, columns = one.Rows, one.Columns
    assert load(path).geometry.shape == (1, rows, columns)
    for change in (
        {"Rows": rows // 2},
        {"Columns": columns // 2},
        {"Rows": rows // 2, "Columns": 2 * columns},
    ):
        edited = pydicom.dcmread(path)
        edited.update(change)
        edited.save_as(tmp_path / "a.dcm")
        words = (
            rf"E_UNREADABLE.*has {rows}×{columns} pixels.*declares {edited.Rows}×{edited.Columns}"
        )
        with pytest.raises(InputError, match=words):
            load(tmp_path / "a.dcm")


def test_a_run_length_frame_of_other_bytes_than_the_header_says_is_refused(tmp_path):
    one = dataset(Rows=32, Columns=32, PixelData=bytes(2048))
    one.compress(RLELossless)
    one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*2 planes of bytes, the header declares 1"):
        load(tmp_path / "a.dcm")
