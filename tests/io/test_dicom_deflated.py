"""Deflated data sets: as if they were not, with limits that hold before memory is taken."""

from __future__ import annotations

import contextlib
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian
from support.dicom_series import enhanced, write_series

from gpuprep.io.dicom.deflated import MOST_AROUND, open_plain
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

PUBLIC = Path(pydicom.__file__).parent / "data/test_files/image_dfl.dcm"
LINE = {"RescaleSlope": 2, "RescaleIntercept": -1024}


def load(path: Path, **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(policy=policy))


def deflate(path: Path) -> Path:
    """Has pydicom write a file again, deflated."""
    one = pydicom.dcmread(path)
    one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    one.save_as(path, enforce_file_format=True)
    return path


def parts(path: Path) -> tuple[bytes, bytes]:
    """Preamble with meta elements, and the deflated data set behind them."""
    content = path.read_bytes()
    end = 132 + 12 + struct.unpack_from("<I", content, 140)[0]
    return content[:end], content[end:]


def packed(plain: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(plain) + deflater.flush()


@pytest.fixture
def slice_file(tmp_path) -> Path:
    (path,) = write_series(tmp_path / "s", [0], **LINE).iterdir()
    return deflate(path)


def test_a_deflated_series_is_what_it_is_undeflated(tmp_path):
    plain = load(write_series(tmp_path / "s", [0, 2, 4, 6, 8], **LINE))
    for path in (tmp_path / "s").iterdir():
        deflate(path)
    source = Source(str(tmp_path / "s"))
    scan = load(tmp_path / "s")
    np.testing.assert_array_equal(scan.volumes[0].array, plain.volumes[0].array)
    assert scan.geometry == plain.geometry
    assert scan.header == {**plain.header, "compression": "Deflated Explicit VR Little Endian"}
    assert peek(source, ReadRules()).geometry == plain.geometry


def test_frames_of_a_deflated_file_are_found(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [8, 6, 4, 2, 0], [(n + 1, 0) for n in range(5)])
    plain = load(path, E_MIXED_RESCALE="fix").volumes[0].array
    np.testing.assert_array_equal(
        load(deflate(path), E_MIXED_RESCALE="fix").volumes[0].array, plain
    )


def test_copies_of_deflated_slices_are_known_as_copies(tmp_path):
    folder = write_series(tmp_path / "s", [0, 2, 2, 4, 6, 8], PixelData=bytes(range(40)))
    for path in folder.iterdir():
        deflate(path)
    assert load(folder, E_SLICE_DUP="fix").geometry.shape == (5, 4, 5)


def test_a_public_file_with_the_checksum_of_gzip_behind_it_is_read(tmp_path):
    """That of pydicom's test data; SimpleITK reads it, too."""
    policy = {"E_NO_GEOMETRY": "warn"}
    one = pydicom.dcmread(PUBLIC)
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    one.PixelSpacing, one.SliceThickness = [1, 1], 1
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    head, stream = parts(tmp_path / "a.dcm")
    plain = zlib.decompress(stream, -15)
    sums = struct.pack("<II", zlib.crc32(plain), len(plain))
    (tmp_path / "a.dcm").write_bytes(head + packed(plain) + sums)
    array = load(tmp_path / "a.dcm", **policy).volumes[0].array
    theirs = sitk.GetArrayFromImage(sitk.ReadImage(str(PUBLIC), imageIO="GDCMImageIO"))
    np.testing.assert_array_equal(array, theirs)
    (tmp_path / "a.dcm").write_bytes(head + packed(plain) + b"\1" + sums[1:])
    with pytest.raises(InputError, match=r"E_UNREADABLE.*neither padding nor its checksum"):
        load(tmp_path / "a.dcm")


@pytest.mark.parametrize("behind", [b"", b"\0", bytes(8)])
def test_padding_behind_the_stream_is_none_of_ours(slice_file, behind):
    head, stream = parts(slice_file)
    slice_file.write_bytes(head + packed(zlib.decompress(stream, -15)) + behind)
    assert load(slice_file).volumes[0].array[0, 0, 1] == 2 - 1024


def test_a_stream_that_breaks_off_is_refused_wherever_it_does(slice_file):
    head, stream = parts(slice_file)
    stream = packed(zlib.decompress(stream, -15))
    for end in range(0, len(stream), 7):
        slice_file.write_bytes(head + stream[:end])
        with pytest.raises(InputError, match="E_TRUNCATED"):
            load(slice_file)


@settings(max_examples=100, deadline=None)
@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_damaged_stream_gives_other_voxels_or_an_error_and_no_more(tmp_path_factory, at, value):
    """Deflate has no checksum: what still is a slice of the declared size is one."""
    (path,) = write_series(tmp_path_factory.mktemp("s"), [0], **LINE).iterdir()
    head, stream = parts(deflate(path))
    damaged = bytearray(stream)
    damaged[at % len(damaged)] = value
    path.write_bytes(head + damaged)
    with contextlib.suppress(InputError):  # anything else would be a fault of ours
        assert load(path, E_NO_GEOMETRY="warn").volumes[0].array.size == 20


def test_a_bomb_is_cut_off_while_headers_are_read(slice_file):
    """A thousandfold: 80 MB of a private element in 80 kB of file."""
    head, stream = parts(slice_file)
    plain = zlib.decompress(stream, -15)
    element = b"\x09\x00\x10\x10OB\0\0" + struct.pack("<I", 80 << 20)
    slice_file.write_bytes(head + packed(element + bytes(80 << 20) + plain))
    for ask in (load, lambda path: peek(Source(str(path)), ReadRules())):
        with pytest.raises(InputError, match=f"E_LIMIT.*{MOST_AROUND + len(head):,} bytes"):
            ask(slice_file)


def test_a_bomb_behind_the_pixels_is_cut_off(slice_file):
    head, stream = parts(slice_file)
    plain = zlib.decompress(stream, -15)
    tail = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", 80 << 20) + bytes(80 << 20)
    slice_file.write_bytes(head + packed(plain + tail))
    with pytest.raises(InputError, match="E_LIMIT"):
        load(slice_file)


def test_pixels_that_the_stream_cannot_hold_are_refused_before_it_is_inflated(slice_file):
    one = pydicom.dcmread(slice_file)
    one.Rows = one.Columns = 40_000
    one.save_as(slice_file, enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_TRUNCATED.*can expand to at most"):
        peek(Source(str(slice_file)), ReadRules())
    with pytest.raises(InputError, match=r"E_LIMIT.*bytes of voxels"):
        peek(Source(str(slice_file)), ReadRules(max_bytes=10**9))


def test_the_name_of_the_syntax_elsewhere_in_a_header_deflates_nothing(tmp_path):
    (path,) = write_series(tmp_path / "s", [0], ImageComments="1.2.840.10008.1.2.1.99").iterdir()
    with open_plain(path) as file:
        assert file.read() == path.read_bytes()
    assert load(path).volumes[0].array[0, 0, 1] == 1
