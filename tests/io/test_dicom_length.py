"""DICOM files that are shorter or longer than their header says, compressed or not."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import (
    MPEG2MPML,
    MPEG4HP41,
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SegmentationStorage,
)
from support.dicom_series import dataset, enhanced, write_series

from gpuprep.io.dicom import header as dicom_header
from gpuprep.io.dicom.series import series_in, series_of_folder
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, InputError

RULES = ReadRules()
PLANE = np.random.default_rng(3).integers(0, 4000, (32, 32), np.uint16)


def write_rle(path: Path, **tags: object) -> bytes:
    """One compressed slice; its bytes."""
    one = dataset(Rows=32, Columns=32, PixelData=PLANE.tobytes(), **tags)
    one.compress(RLELossless)
    one.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def refused(path: Path, code: str, words: str) -> None:
    for action in (peek, read):
        with pytest.raises(InputError, match=f"{code}.*{words}"):
            action(Source(str(path)), RULES)


def test_a_cut_compressed_slice_is_refused_wherever_it_ends(tmp_path):
    path = tmp_path / "x.dcm"
    content = write_rle(path)
    np.testing.assert_array_equal(read(Source(str(path)), RULES).volumes[0].array[0], PLANE)
    for length in range(len(content) - 8, content.index(b"\xe0\x7f\x10\x00"), -37):
        path.write_bytes(content[:length])
        refused(path, "E_TRUNCATED", "")


def test_a_chain_of_items_that_breaks_off_is_no_chain(tmp_path):
    path = tmp_path / "x.dcm"
    content = write_rle(path)
    middle = len(content) - 500
    path.write_bytes(content[:middle] + content[middle + 2 :])
    refused(path, "E_TRUNCATED|E_UNREADABLE", "RLE Lossless")
    first = content.index(b"\xfe\xff\x00\xe0")
    path.write_bytes(content[:first] + b"\0" + content[first + 1 :])
    refused(path, "E_UNREADABLE", "no item at byte")


def test_fewer_pieces_than_frames_are_refused(tmp_path):
    path = tmp_path / "x.dcm"
    write_rle(path, NumberOfFrames=1)
    one = pydicom.dcmread(path)
    one.NumberOfFrames = 7
    one.save_as(path)
    refused(path, "E_TRUNCATED", "1 compressed pieces for 7 frames")


@pytest.mark.parametrize("syntax", [MPEG2MPML, MPEG4HP41])
def test_a_syntax_without_a_decoder_is_named(tmp_path, syntax):
    one = dataset(PixelData=encapsulate([bytes(100)]))
    one["PixelData"].is_undefined_length = True
    one.file_meta.TransferSyntaxUID = syntax
    one.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    refused(tmp_path / "x.dcm", "E_UNREADABLE", syntax.name.split("(")[0].strip())


JUNK = b"\x09\x00\x10\x00OB\0\0\xf0\xff\xff\xef" + bytes(20)


@pytest.mark.parametrize("compressed", [True, False])
def test_junk_behind_the_pixels_costs_nothing(tmp_path, compressed):
    """GDCM would take the gigabytes that an element there declares."""
    path = tmp_path / "x.dcm"
    if compressed:
        write_rle(path)
    else:
        dataset().save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    path.write_bytes(content + JUNK)
    start = time.monotonic()
    refused(path, "E_UNREADABLE", "behind the pixels")
    assert time.monotonic() - start < 5
    path.write_bytes(content + b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0" + bytes(4))  # padding is legal
    assert read(Source(str(path)), RULES).geometry.shape[0] == 1
    path.write_bytes(content + bytes(512))  # and a tape block filled up with zeros is harmless
    assert read(Source(str(path)), RULES).geometry.shape[0] == 1


def test_implicit_elements_behind_the_pixels_are_walked(tmp_path):
    one = dataset()
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    one.DataSetTrailingPadding = bytes(8)
    one.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert read(Source(str(tmp_path / "x.dcm")), RULES).geometry.shape[0] == 1
    content = (tmp_path / "x.dcm").read_bytes()
    (tmp_path / "x.dcm").write_bytes(content[:-3])
    refused(tmp_path / "x.dcm", "E_UNREADABLE", "behind the pixels")


def test_a_billion_frames_are_refused_at_once(tmp_path):
    path = enhanced(tmp_path / "x.dcm", [0, 1], top={"NumberOfFrames": 10**9})
    start = time.monotonic()
    refused(path, "E_LIMIT", "1,000,000,000")
    assert time.monotonic() - start < 5


def test_every_cut_of_an_enhanced_header_is_a_case_error(tmp_path):
    """pydicom raises an OSError without a number for a sequence that ends early."""
    path = enhanced(tmp_path / "x.dcm", [0, 1, 2])
    content = path.read_bytes()
    for length in range(140, len(content), 5):
        path.write_bytes(content[:length])
        with pytest.raises(CaseError):
            peek(Source(str(path)), RULES)


HUGE_ELEMENT = """
import pathlib, resource, sys
from gpuprep.io.dicom.series import series_of_folder
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
print(len(series_of_folder(pathlib.Path(sys.argv[1]))[1]))
"""


def test_a_header_element_of_four_gibibytes_costs_its_file_alone(tmp_path):
    """Discovery reads headers in the coordinator, which has other files to look at."""
    one = dataset(SeriesDescription="liver")
    one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    one.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    content = (tmp_path / "x.dcm").read_bytes()
    at = content.index(b"\x08\x00\x3e\x10") + 4
    (tmp_path / "x.dcm").write_bytes(content[:at] + b"\xf0\xff\xff\xff" + content[at + 4 :])
    done = subprocess.run(
        [sys.executable, "-c", HUGE_ELEMENT, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "1\n"


def test_a_file_that_the_disk_does_not_give_costs_its_series_alone(tmp_path, monkeypatch):
    """Left out, it would make the series a slice shorter, and nothing would tell."""
    folder = write_series(tmp_path / "s", [0, 1, 2])
    write_series(tmp_path / "t", [0, 1], SeriesInstanceUID="1.2.3")
    opened = dicom_header.open_plain

    def failing(path: Path) -> object:
        if path.name == "98.dcm":
            raise OSError(5, "Input/output error", str(path))
        return opened(path)

    monkeypatch.setattr(dicom_header, "open_plain", failing)
    series = series_in(tmp_path.rglob("*.dcm"))
    assert [len(one.files) for one in series] == [3, 2]
    assert series_of_folder(folder) == (series[:1], {})
    with pytest.raises(OSError, match=r"98\.dcm"):
        read(Source(str(folder), series[0].files), RULES)
    (folder / "98.dcm").rename(tmp_path / "98.dcm")
    found, others = series_of_folder(tmp_path)
    assert (found, list(others)) == ([], [str(tmp_path / "98.dcm")])


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(900)])
def test_a_damaged_slice_is_no_stranger_in_its_folder(tmp_path, content):
    """Left out in silence, it would shorten the volume; objects that are no images may lie there."""
    folder = write_series(tmp_path / "s", [0, 1, 2, 3])
    dataset(SegmentationStorage).save_as(folder / "seg.dcm", enforce_file_format=True)
    (folder / "readme.txt").write_text("hello")
    assert read(Source(str(folder)), RULES).geometry.shape[0] == 4
    (folder / "96.dcm").write_bytes(content)
    refused(folder, "E_UNREADABLE", r"1 of 6 files are called as slices are")


def test_a_compressed_slice_of_air_is_no_bomb(tmp_path):
    one = dataset(Rows=512, Columns=512, PixelData=bytes(2 * 512 * 512))
    one.compress(RLELossless)
    one.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert not read(Source(str(tmp_path / "x.dcm")), RULES).volumes[0].array.any()


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("syntax", [None, ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_pixels_begin_where_they_do_whatever_syntax_the_file_names(tmp_path, implicit, syntax):
    """Four bytes beside it, zeros at the end of a picture hide that it moved by two pixels."""
    pixels = PLANE.copy()
    pixels[-1, -4:] = 0
    one = dataset(Rows=32, Columns=32, PixelData=pixels.tobytes())
    one["PixelData"].VR = "OW"
    meta, whole = DicomBytesIO(), DicomBytesIO()
    whole.is_implicit_VR, whole.is_little_endian = implicit, True
    write_dataset(whole, pydicom.Dataset(one))
    start = b""
    if syntax is not None:
        one.file_meta.TransferSyntaxUID = syntax
        write_file_meta_info(meta, one.file_meta)
        start = bytes(128) + b"DICM" + meta.getvalue()
    path = tmp_path / "a.dcm"
    path.write_bytes(start + whole.getvalue())
    for reader in ("checked", "itk"):
        rules = ReadRules(reader=reader, policy={"E_ITK": "fix"})
        scan = read(Source(str(path)), rules)
        np.testing.assert_array_equal(scan.volumes[0].array[0], pixels)
        told = [one.message for one in scan.findings if one.code == "W_SYNTAX"]
        differs = syntax is not None and implicit != UID(syntax).is_implicit_VR
        kinds = f"1 of 1 slices are written in {'implicit' if implicit else 'explicit'} VR"
        assert [one.startswith(kinds) for one in told] == [True] * differs
