"""A damaged value of a DICOM header is named by its tag, and never quoted: it might name the patient."""

from __future__ import annotations

import struct
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from support.dicom_series import enhanced, write_series

from gpuprep.cohort.discover import discover
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]
TAGS = {
    "RescaleSlope": 1.25,
    "RescaleIntercept": -100.5,
    "SpacingBetweenSlices": 2.25,
    "NumberOfFrames": 1,
    "EchoTime": 1.5,
    "PixelPaddingValue": 7,
}
DAMAGES = [
    ("ImagePositionPatient", "(0020,0032)", "3 finite numbers"),
    ("ImageOrientationPatient", "(0020,0037)", "6 finite numbers"),
    ("PixelSpacing", "(0028,0030)", "2 finite numbers"),
    ("RescaleSlope", "(0028,1053)", "a finite number"),
    ("RescaleIntercept", "(0028,1052)", "a finite number"),
    ("SliceThickness", "(0018,0050)", "a finite number"),
    ("SpacingBetweenSlices", "(0018,0088)", "a finite number"),
    ("NumberOfFrames", "(0028,0008)", "a whole number"),
    ("EchoTime", "(0018,0081)", "a number"),
]


def damage(path: Path, keyword: str, junk: bytes = b"Doe^J") -> None:
    """Overwrite the value of a tag of text in place."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + dictionary_VR(tag).encode()
    raw = bytearray(path.read_bytes())
    at = raw.index(head) + 6
    (length,) = struct.unpack_from("<H", raw, at)
    raw[at + 2 : at + 2 + length] = (junk * length)[:length]
    path.write_bytes(bytes(raw))


@pytest.mark.parametrize(("keyword", "tag", "wanted"), DAMAGES, ids=[row[0] for row in DAMAGES])
@pytest.mark.parametrize("action", [peek, read])
def test_a_damaged_value_names_its_tag_and_its_file(tmp_path, keyword, tag, wanted, action):
    tags = {name: value for name, value in TAGS.items() if keyword != "SliceThickness"}
    folder = write_series(tmp_path / "s", HEIGHTS, **tags)
    victim = folder / "97.dcm"
    damage(victim, keyword)
    (case,) = discover(folder).cases
    with pytest.raises(InputError) as error:
        action(case.images[0], ReadRules())
    assert error.value.code == "E_UNREADABLE"
    assert error.value.message == f"the value of {keyword} {tag} is not {wanted}"
    assert error.value.path == str(victim)
    assert "Doe" not in str(error.value) + error.value.advice


def test_a_folder_read_as_it_is_names_the_tag_that_hides_a_slice(tmp_path):
    folder = write_series(tmp_path / "s", HEIGHTS)
    raw = (folder / "97.dcm").read_bytes()
    at = raw.index(struct.pack("<HH", 0x28, 0x10) + b"US")  # Rows, of one byte
    (folder / "97.dcm").write_bytes(raw[: at + 6] + b"\1\0\4" + raw[at + 10 :])
    with pytest.raises(
        InputError, match=r"1 of 5 files.*the first: the value of Rows \(0028,0010\)"
    ):
        read(Source(str(folder)), ReadRules())


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "PixelSpacing", "RescaleSlope"])
def test_so_does_one_of_a_frame(tmp_path, keyword):
    path = enhanced(tmp_path / "e.dcm", HEIGHTS, [(2, 1)] * 5)
    damage(path, keyword)
    with pytest.raises(InputError, match=f"the value of {keyword} "):
        read(Source(str(path)), ReadRules())


@pytest.mark.parametrize("value", ["1\\2", "1\\2\\3\\4", "1\\nan\\2", "1\\inf\\2"])
def test_too_few_too_many_and_infinite_numbers(tmp_path, value):
    folder = write_series(tmp_path / "s", HEIGHTS)
    one = pydicom.dcmread(folder / "97.dcm")
    pixels = one.PixelData
    with pydicom.config.disable_value_validation():
        one.ImagePositionPatient = value.split("\\")
    one.PixelData = pixels
    one.save_as(folder / "97.dcm")
    with pytest.raises(InputError, match=r"ImagePositionPatient \(0020,0032\) is not 3 finite"):
        read(Source(str(folder)), ReadRules())
