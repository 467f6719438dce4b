"""Volumes of a series that are shorter than their sisters: told with numbers, wherever they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from support.dicom_series import enhanced, write_series
from support.studies import HEIGHTS, MR

from gpuprep.cohort.discover import discover
from gpuprep.io.dicom.sisters import sisters_of
from gpuprep.io.dicom.volumes import Seen, volumes_among
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Case, Sister
from gpuprep.values.errors import InputError

CASES = ReadRules(several_volumes="cases")


def told(case: Case, rules: ReadRules = CASES) -> dict[str, object] | None:
    """What reading says of a case, and that its headers say so too."""
    findings = [one.findings for one in (read(case.images[0], rules), peek(case.images[0], rules))]
    short = [[each for each in found if each.code == "W_SHORT_VOLUME"] for found in findings]
    assert short[0] == short[1]
    return dict(short[0][0].values) if short[0] else None


@pytest.fixture
def echoes(tmp_path: Path) -> Path:
    """Two echoes, the second one without its last two slices."""
    return write_series(
        tmp_path / "echo", HEIGHTS + HEIGHTS[:3], EchoTime=lambda n: [4.92, 9.84][n // 5], **MR
    )


def test_a_volume_without_its_last_slices_is_told_beside_its_sister(echoes: Path) -> None:
    long, short = discover(echoes, several_volumes="cases").cases
    assert (long.id, short.id) == ("echo_TE_4.92", "echo_TE_9.84")
    assert told(long) is None
    assert told(short) == {"slices": 3, "fewer": 2, "sister": "TE 4.92"}
    again = Case.from_json(short.to_json())
    assert again == short
    with pytest.raises(InputError, match=r"W_SHORT_VOLUME: 3 slices, 2 fewer than volume TE 4\.92"):
        peek(short.images[0], ReadRules(policy={"W_SHORT_VOLUME": "error"}))


def test_the_first_volume_is_told_too_where_it_is_the_short_one(tmp_path: Path) -> None:
    write_series(
        tmp_path / "echo", HEIGHTS[1:] + HEIGHTS, EchoTime=lambda n: [4.92, 9.84][n // 4 > 0], **MR
    )
    (case,) = discover(tmp_path, several_volumes="first").cases
    values = told(case, ReadRules(several_volumes="first"))
    assert values == {"slices": 4, "fewer": 1, "sister": "TE 9.84"}


def test_frames_of_one_file_are_compared_as_files_are(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "all.dcm", HEIGHTS[:4] + HEIGHTS)
    one = pydicom.dcmread(path)
    for number, frame in enumerate(one.PerFrameFunctionalGroupsSequence):
        frame.MRDiffusionSequence = [Dataset()]
        frame.MRDiffusionSequence[0].DiffusionBValue = 1000.0 * (number > 3)
    one.save_as(path)
    short, long = discover(tmp_path, several_volumes="cases").cases
    assert told(short) == {"slices": 4, "fewer": 1, "sister": "b1000"}
    assert told(long) is None


def volume(name: str, heights: np.ndarray, aside: float = 0.0, turned: float = 0.0) -> list[Seen]:
    across = (float(np.cos(turned)), float(np.sin(turned)), 0.0, 0.0, 0.0, -1.0)
    return [
        Seen((("StackID", name),), (aside, float(z), 0.0), across, n) for n, z in enumerate(heights)
    ]


@pytest.mark.parametrize(
    ("heights", "aside", "turned", "sister"),
    [
        (np.arange(8), 0.0, 0.0, True),
        (np.arange(2, 10), 0.0, 0.0, True),
        (np.arange(3, 8), 0.0, 0.0, True),
        (np.arange(0, 10, 2), 0.0, 0.0, True),  # a gap, too, is of slices that she has
        (np.arange(8) + 0.05, 0.05, 0.0, True),
        (np.array([4]), 0.0, 0.0, True),
        (np.arange(10), 0.0, 0.0, False),
        (np.arange(8) + 0.5, 0.0, 0.0, False),
        (np.arange(5, 11), 0.0, 0.0, False),
        (np.arange(8), 3.0, 0.0, False),
        (np.arange(8), 0.0, 0.01, False),
    ],
)
def test_a_sister_has_a_slice_wherever_the_volume_has_one(
    heights: np.ndarray, aside: float, turned: float, sister: bool
) -> None:
    seen = volume("1", np.arange(10)) + volume("2", heights, aside, turned)
    parts = volumes_among(seen)
    assert sisters_of(seen, parts) == [None, Sister("stack 1", 10) if sister else None]


def test_volumes_without_places_have_no_sisters() -> None:
    seen = [Seen((("EchoTime", "5"),), (), (), n) for n in range(4)]
    seen += [Seen((("EchoTime", "9"),), (), (), n) for n in range(3)]
    assert sisters_of(seen, volumes_among(seen)) == [None, None]
