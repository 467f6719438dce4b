"""Rarer transfer syntaxes: who decodes them, and what is said where nobody does."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000MC, HTJ2KLossless, RLELossless
from support.dicom_series import dataset

from gpuprep.io.dicom import syntaxes
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

J2K = "nasty_dicom/ct1_6_transfer_syntaxes/CT1_J2KR"


def load(path: Path, **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(policy=policy))


def with_syntax(scans: Path, path: Path, syntax: str, rsiz: int | None = None) -> Path:
    """A JPEG 2000 slice under another syntax; its stream may ask for other capabilities."""
    one = pydicom.dcmread(scans / J2K)
    (frame,) = generate_frames(one.PixelData, number_of_frames=1)
    if rsiz is not None:
        frame = frame[:6] + struct.pack(">H", rsiz) + frame[8:]
    one.PixelData = encapsulate([frame])
    one.file_meta.TransferSyntaxUID = syntax
    one.save_as(path, implicit_vr=False, little_endian=True)
    return path


def run_lengths(words: np.ndarray) -> bytes:
    """A frame of literal runs (PS3.5, G): a segment for each byte of a word, the highest first."""
    planes = words.reshape(-1, 1).view(np.uint8)[:, ::-1].T
    segments = [
        b"".join(
            bytes([len(run) - 1]) + run.tobytes()
            for run in np.split(plane, range(128, len(plane), 128))
        )
        for plane in planes
    ]
    segments = [segment + bytes(len(segment) % 2) for segment in segments]
    starts = np.cumsum([64, *(len(segment) for segment in segments[:-1])])
    head = np.zeros(16, "<u4")
    head[0], head[1 : 1 + len(starts)] = len(segments), starts
    return head.tobytes() + b"".join(segments)


def test_part_2_is_read_where_its_streams_keep_to_part_1(scans, tmp_path):
    plain = load(scans / J2K)
    scan = load(with_syntax(scans, tmp_path / "a.dcm", str(JPEG2000MC)))
    np.testing.assert_array_equal(scan.volumes[0].array, plain.volumes[0].array)
    codes = [f.code for f in plain.findings]
    assert sorted(f.code for f in scan.findings) == sorted(["W_LOSSY", *codes])
    with_syntax(scans, tmp_path / "a.dcm", str(JPEG2000MC), 0x8000)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*extensions of part 2 of JPEG 2000"):
        peek(Source(str(tmp_path / "a.dcm")), ReadRules())


@pytest.mark.parametrize(
    ("number", "name"),
    [(110, "JPEG XL Lossless"), (112, "JPEG XL"), (100, "MPEG2"), (94, "JPIP"), (63, "JPEG")],
)
def test_what_nobody_decodes_is_named_by_its_header(scans, tmp_path, number, name):
    path = with_syntax(scans, tmp_path / "a.dcm", str(HTJ2KLossless))
    named = f"1.2.840.10008.1.2.4.{number}".encode().ljust(
        24, b"\0"
    )  # pydicom writes no unknown ones
    path.write_bytes(path.read_bytes().replace(f"{HTJ2KLossless}\0".encode(), named))
    with pytest.raises(InputError, match=f"E_UNREADABLE: there is no decoder.*{name}"):
        peek(Source(str(path)), ReadRules())


def test_high_throughput_jpeg_2000_is_decoded_by_a_package_of_an_extra(scans, tmp_path):
    """OpenJPEG reads a stream of part 1, too, so that the way there is proven without an encoder."""
    pytest.importorskip("openjpeg")
    scan = load(with_syntax(scans, tmp_path / "a.dcm", str(HTJ2KLossless)))
    np.testing.assert_array_equal(scan.volumes[0].array, load(scans / J2K).volumes[0].array)


def test_a_high_throughput_stream_is_what_its_encoder_was_given(tmp_path):
    pytest.importorskip("openjpeg")
    codecs = pytest.importorskip("imagecodecs")
    pixels = np.random.default_rng(3).integers(-2000, 2000, (64, 48)).astype("<i2")
    one = dataset(
        Rows=64, Columns=48, PixelRepresentation=1, RescaleSlope=1, RescaleIntercept=-24,
        PixelData=encapsulate([codecs.htj2k_encode(pixels, reversible=True)]),
    )  # fmt: skip
    one.file_meta.TransferSyntaxUID = HTJ2KLossless
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    array = load(tmp_path / "a.dcm").volumes[0].array[0]
    np.testing.assert_array_equal(array, pixels - 24)


def test_a_missing_package_is_told_with_its_extra(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(syntaxes, "_has_package", lambda _: False)
    path = with_syntax(scans, tmp_path / "a.dcm", str(HTJ2KLossless))
    with pytest.raises(InputError, match=r"E_UNREADABLE.*pylibjpeg-openjpeg") as error:
        peek(Source(str(path)), ReadRules())
    assert "gpuprep[dicom]" in error.value.advice


@pytest.mark.parametrize(
    ("allocated", "stored", "high", "signed"),
    [(16, 12, 15, 0), (16, 12, 13, 1), (16, 16, 15, 0), (32, 20, 19, 0), (32, 20, 19, 1)],
)
@pytest.mark.parametrize("side", [4, 40])
def test_run_lengths_are_read_whatever_their_bits_and_size(
    tmp_path, allocated, stored, high, signed, side
):
    """GDCM decodes no frame as small as these, and unusual bits wrongly."""
    low = -(1 << (stored - 1)) * signed
    values = np.random.default_rng(1).integers(low, low + (1 << stored), (side, side))
    words = (values << (high + 1 - stored)).astype(f"<{'i' if signed else 'u'}{allocated // 8}")
    one = dataset(
        Rows=side, Columns=side, BitsAllocated=allocated, BitsStored=stored, HighBit=high,
        PixelRepresentation=signed, PixelData=encapsulate([run_lengths(words)]), RescaleSlope=2,
        RescaleIntercept=5,
    )  # fmt: skip
    one.file_meta.TransferSyntaxUID = RLELossless
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(load(tmp_path / "a.dcm").volumes[0].array[0], values * 2 + 5)


def test_run_lengths_that_use_undeclared_bits_are_told(tmp_path):
    one = dataset(Rows=4, Columns=4, PixelData=np.full(16, 0x11, "<u2").tobytes())
    one.compress(RLELossless)
    one.BitsStored, one.HighBit = 12, 15
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="E_PIXEL_TYPE: 16 pixels use bits outside"):
        load(tmp_path / "a.dcm")


def test_damaged_run_lengths_are_refused_by_the_second_decoder_too(tmp_path):
    one = dataset(Rows=4, Columns=4, PixelData=bytes(range(32)))
    one.compress(RLELossless)
    (frame,) = generate_frames(one.PixelData, number_of_frames=1)
    one.PixelData = encapsulate([frame[:70]])
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="E_UNREADABLE"):
        load(tmp_path / "a.dcm")
