"""Frames whose settings are alike: their volumes are told apart by the indices that the file gives them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedMRImage
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from support.dicom_series import enhanced, write_series
from support.studies import HEIGHTS, MR

from gpuprep.cohort.discover import discover
from gpuprep.io.dicom.volumes import Seen, volumes_among
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

Indexed = tuple[int, ...]
PLACES = 4


def frames(
    path: Path, indices: Sequence[Indexed], place: int = 1, number: int = 1, **content: object
) -> Path:
    """An enhanced file of frames with these indices, of which one is that of the place."""
    heights = [2.0 * each[place] for each in indices]
    one = pydicom.dcmread(enhanced(path, heights, top={"InstanceNumber": number}))
    for frame, each in zip(one.PerFrameFunctionalGroupsSequence, indices, strict=True):
        item = Dataset()
        item.DimensionIndexValues = list(each)
        for keyword, value in content.items():
            setattr(item, keyword, value)
        frame.FrameContentSequence = [item]
    one.save_as(path)
    return path


def starts(path: Path, several: str = "channels", **policy: str) -> list[list[int]]:
    """Which frames each volume is of, from the lowest place on."""
    rules = ReadRules(several_volumes=several, policy=policy)
    scan = read(Source(str(path)), rules)
    return [(volume.array[:, 0, 0] // 100).tolist() for volume in scan.volumes]


def two_ways(order: str) -> list[Indexed]:
    """Labels and phases at every place; Philips has labels outermost, and phases innermost."""
    found = [
        (1, z, label, phase) for label in (1, 2) for z in range(1, PLACES + 1) for phase in (1, 2)
    ]
    if order == "mixed":
        random.Random(4).shuffle(found)
    return found


@pytest.mark.parametrize("order", ["nested", "mixed"])
def test_volumes_are_those_of_their_indices_whatever_the_order_of_frames(
    tmp_path: Path, order: str
) -> None:
    indices = two_ways(order)
    path = frames(tmp_path / "e.dcm", indices, StackID="1")
    expected = [
        [indices.index((1, z, label, phase)) for z in range(1, PLACES + 1)]
        for label in (1, 2)
        for phase in (1, 2)
    ]
    assert starts(path) == expected
    assert starts(path, "first") == expected[:1]
    assert starts(path, "refuse", E_MIXED_SERIES="fix") == expected[:1]
    cases = discover(tmp_path, several_volumes="cases").cases
    assert [case.images[0].volume for case in cases] == ["t0", "t1", "t2", "t3"]
    for case, frame in zip(cases, expected, strict=True):
        scan = read(case.images[0], ReadRules(several_volumes="cases"))
        assert (scan.volumes[0].array[:, 0, 0] // 100).tolist() == frame


def test_frames_that_visit_each_place_in_turn_are_not_paired_against_their_indices(
    tmp_path: Path,
) -> None:
    """By their numbers alone the first at each place would be one volume."""
    indices = [(1, z, t) for z in range(3) for t in ((1, 2) if z % 2 else (2, 1))]
    path = frames(tmp_path / "e.dcm", indices)
    assert starts(path) == [[1, 2, 5], [0, 3, 4]]
    assert starts(path, "refuse", E_MIXED_SERIES="fix") == [[1, 2, 5]]


def test_which_dimension_is_the_place_is_seen_from_the_places(tmp_path: Path) -> None:
    """dcm2niix issue 809: files that name their dimensions in another order than they count them."""
    indices = [(t, 1, z) for z in range(3) for t in (1, 2)]
    random.Random(1).shuffle(indices)
    expected = [[indices.index((t, 1, z)) for z in range(3)] for t in (1, 2)]
    assert starts(frames(tmp_path / "e.dcm", indices, place=2)) == expected


def test_files_that_each_count_anew_are_volumes_of_their_own(tmp_path: Path) -> None:
    indices = [(1, z, t) for z in range(3) for t in (1, 2)]
    random.Random(2).shuffle(indices)
    for number in (1, 2):
        frames(tmp_path / f"{number}.dcm", indices, number=number)
    cases = discover(tmp_path, several_volumes="cases").cases
    assert [case.images[0].volume for case in cases] == ["t0", "t1", "t2", "t3"]


@pytest.mark.parametrize(
    "indices",
    [
        [(1, z, 1) for z in range(3) for _ in (1, 2)],  # equal
        [(1, z, t + z % 2) for z in range(3) for t in (1, 2)],  # three of a number, or one
        [(1, z, t)[: 2 + t % 2] for z in range(3) for t in (1, 2)],  # of unequal number
        [(1, z, 7 * z + t) for z in range(3) for t in (1, 2)],  # each its own
    ],
)
def test_indices_that_tell_no_volumes_leave_it_to_numbers(
    tmp_path: Path, indices: list[Indexed]
) -> None:
    assert starts(frames(tmp_path / "e.dcm", indices)) == [[0, 2, 4], [1, 3, 5]]
    jumbled = [indices[at] for at in (0, 2, 1, 3, 5, 4)]
    if [one[1] for one in jumbled] != [0, 0, 1, 1, 2, 2]:
        with pytest.raises(InputError, match="E_MIXED_SERIES: 2 slices at each of 3 positions"):
            starts(frames(tmp_path / "j.dcm", jumbled))


@given(st.permutations([(z, t, e) for z in range(3) for t in range(2) for e in range(3)]))
def test_no_order_of_frames_changes_a_volume(order: list[tuple[int, int, int]]) -> None:
    across = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    seen = [
        Seen((), (0.0, 0.0, 2.0 * z), across, 1, at, dimensions=(z + 1, t + 1, e + 1))
        for at, (z, t, e) in enumerate(order)
    ]
    volumes = [{order[member][1:] for member in part.members} for part in volumes_among(seen)]
    assert all(len(volume) == 1 for volume in volumes)
    assert len(volumes) == 6


def test_what_a_converted_file_keeps_of_its_classic_ones_tells_volumes(tmp_path: Path) -> None:
    """The echo time, which highdicom puts among the attributes without a macro."""
    numbers = [7, 3, 1, 9, 5, 2, 8, 4, 10, 6]
    folder = write_series(
        tmp_path / "s", HEIGHTS * 2, EchoTime=lambda n: [4.92, 9.84][n // 5],
        InstanceNumber=lambda n: numbers[n], PatientID="", PatientName="", PatientBirthDate="",
        PatientSex="", StudyID="", StudyDate="20250101", StudyTime="10", AccessionNumber="",
        ReferringPhysicianName="", Manufacturer="X", SeriesNumber=1, FrameOfReferenceUID="1.2.9",
        **MR,
    )  # fmt: skip
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices.sort(key=lambda one: one.InstanceNumber)
    for one in slices:
        one.AcquisitionDate, one.AcquisitionTime = date(2025, 1, 1), time(10)
    LegacyConvertedEnhancedMRImage(slices, "1.2.77", 2, "1.2.78", 1).save_as(tmp_path / "c.dcm")
    for source in (folder, tmp_path / "c.dcm"):
        scan = read(Source(str(source)), ReadRules(several_volumes="channels"))
        assert scan.header["volumes"] == ["TE 4.92", "TE 9.84"]
        first = [volume.array[:, 0, 0].tolist() for volume in scan.volumes]
        assert first == [[0, 100, 200, 300, 400], [500, 600, 700, 800, 900]]


def test_enhanced_files_of_one_frame_each_are_found_as_they_are_read(tmp_path: Path) -> None:
    """As Siemens XA exports them: places and echoes lie in functional groups, which the top does not have."""
    for number in range(8):
        path = enhanced(
            tmp_path / f"{number}.dcm", [2.0 * (number // 2)], top={"InstanceNumber": number}
        )
        one = pydicom.dcmread(path)
        echo = Dataset()
        echo.EffectiveEchoTime = 5.0 + 4 * (number % 2)
        one.PerFrameFunctionalGroupsSequence[0].MREchoSequence = [echo]
        one.PixelData = np.full(20, number, "<u2").tobytes()
        one.save_as(path)
    cases = discover(tmp_path, several_volumes="cases").cases
    assert [case.attributes["volume"] for case in cases] == ["TE 5", "TE 9"]
    scans = [read(case.images[0], ReadRules(several_volumes="cases")) for case in cases]
    found = [scan.volumes[0].array[:, 0, 0].tolist() for scan in scans]
    assert found == [[0, 2, 4, 6], [1, 3, 5, 7]]
