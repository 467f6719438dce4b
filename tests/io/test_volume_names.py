"""What tells the volumes of a series apart: b-values of vendors, and what holds for all names and orders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian, MRImageStorage
from support.dicom_series import write_series

from gpuprep.io.dicom.series import series_in, sort_out
from gpuprep.io.dicom.volumes import Seen, volumes_among
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source

MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]
FLAT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def load(path: Path, several: str = "channels", volume: str = "") -> Scan:
    return read(Source(str(path), volume=volume), ReadRules(several_volumes=several))


def columns(scan: Scan) -> list[list[int]]:
    return [volume.array[:, 0, 0].tolist() for volume in scan.volumes]


def test_siemens_b_values_count_as_the_standard_s_do(tmp_path):
    folder = write_series(tmp_path / "s", HEIGHTS * 2, **MR)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        one.add_new(0x0019100C, "IS", 800 if one.InstanceNumber > 5 else 0)
        one.save_as(path)
    assert load(folder).header["volumes"] == ["b0", "b800"]


@pytest.mark.parametrize(
    ("manufacturer", "owner", "tag", "kind", "values", "sequence", "names"),
    [
        ("GE MEDICAL SYSTEMS", "GEMS_PARM_01", 0x00431039, "IS", [0, 750], ["EP", "SE"], ["b0", "b750"]),
        ("GE MEDICAL SYSTEMS", "GEMS_PARM_01", 0x00431039, "IS", [0, 750], ["GR"], ["t0", "t1"]),
        (
            "GE MEDICAL SYSTEMS", "GEMS_PARM_01", 0x00431039, "IS",
            [[1000000050, 8, 0, 0], [1000001500, 8, 0, 0]], ["EP", "SE"], ["b50", "b1500"],
        ),
        ("Philips", "Philips Imaging DD 001", 0x20011003, "FL", [0.0, 800.0], ["SE"], ["b0", "b800"]),
        ("Philips", "someone else", 0x20011003, "FL", [0.0, 800.0], ["SE"], ["t0", "t1"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("implicit", [False, True])
def test_b_values_of_vendors_name_volumes_alike_for_discovery_and_reading(
    tmp_path, manufacturer, owner, tag, kind, values, sequence, names, implicit
):
    """The larger b-value has the lower instance numbers."""
    folder = write_series(tmp_path / "s", HEIGHTS * 2, Manufacturer=manufacturer, **MR)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.ScanningSequence = sequence
        one.add_new(tag & 0xFFFF0000 | 0x10, "LO", owner)
        one.add_new(tag, kind, values[one.InstanceNumber < 6])
        if implicit:
            one.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        one.save_as(path, implicit_vr=implicit, little_endian=True)
    assert load(folder).header["volumes"] == names
    first = 0 if names[0] == "t0" else 500
    assert columns(load(folder, "cases", names[0]))[0][0] == first
    (series,), _ = sort_out(folder.iterdir(), volumes=True)
    assert [volume.name for volume in series.volumes] == names


@pytest.mark.parametrize("held", [b"x ", b"", b"-5", b"\xff\xfe"])
def test_a_damaged_b_value_of_a_vendor_is_none(tmp_path, held):
    folder = write_series(tmp_path / "s", HEIGHTS, **MR)
    for path in folder.iterdir():
        one = pydicom.dcmread(path)
        one.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        one.add_new(0x0019100C, "IS", 7777)
        one.save_as(path)
        raw, head = path.read_bytes(), b"\x19\x00\x0c\x10IS\x04\x00"
        assert raw.count(head + b"7777") == 1
        path.write_bytes(raw.replace(head + b"7777", head + held.ljust(4)))
    assert columns(load(folder)) == [[0, 100, 200, 300, 400]]
    assert [len(series.files) for series in series_in(folder.iterdir())] == [5]


SETTINGS = st.lists(
    st.tuples(st.sampled_from(["EchoTime", "DiffusionBValue"]), st.sampled_from(["5", "10", "800"])),
    max_size=2, unique_by=lambda setting: setting[0],
).map(tuple)  # fmt: skip


@given(
    st.lists(st.tuples(SETTINGS, st.integers(0, 3), st.integers(0, 40)), min_size=1, max_size=24),
    st.randoms(use_true_random=False),
)
def test_every_slice_is_in_one_volume_whatever_the_order_of_files(rows, random):
    seen = [Seen(settings, (0, 0, 2.0 * z), FLAT, number) for settings, z, number in rows]
    parts = volumes_among(seen)
    assert sorted(member for part in parts for member in part.members) == list(range(len(seen)))
    assert len({part.name for part in parts}) == len(parts)
    for part in parts:
        assert len({frozenset(seen[member].settings) for member in part.members}) == 1
    order = list(range(len(seen)))
    random.shuffle(order)
    again = volumes_among([seen[at] for at in order])
    assert [part.name for part in again] == [part.name for part in parts]
    if len(set(rows)) == len(rows):  # equal slices may change places
        assert [sorted(order[member] for member in part.members) for part in again] == [
            sorted(part.members) for part in parts
        ]


@given(st.integers(1, 5), st.integers(1, 6), st.booleans())
def test_time_points_are_complete_and_one_after_another(times, places, through_places):
    seen = []
    for time in range(times):
        for place in range(places):
            number = place * times + time if through_places else time * places + place
            seen.append(Seen((), (0, 0, 3.0 * place), FLAT, number))
    parts = volumes_among(seen)
    if places == 1:  # of one place many slices are no volumes
        assert len(parts) == 1
        return
    assert len(parts) == times
    assert all(len(part.members) == places for part in parts)
    assert all(max(one.members) < min(two.members) for one, two in pairwise(parts))
