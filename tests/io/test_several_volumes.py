"""Several volumes in one series: told apart, named, audited each by itself, and read as channels or alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from support.dicom_series import enhanced, write_series

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

GOLDENS = np.load(Path(__file__).parents[1] / "goldens/dcm2niix.npz")
MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]


def load(path: Path, several: str = "channels", volume: str = "", **policy: Any) -> Scan:
    return read(Source(str(path), volume=volume), ReadRules(several_volumes=several, policy=policy))


def columns(scan: Scan) -> list[list[int]]:
    return [volume.array[:, 0, 0].tolist() for volume in scan.volumes]


def framed(path: Path, heights: list[float], tags: list[dict[str, Any]], **options: Any) -> Path:
    """An enhanced file whose frames have tags of their own: ``MREchoSequence.EffectiveEchoTime``."""
    one = pydicom.dcmread(enhanced(path, heights, **options))
    for frame, own in zip(one.PerFrameFunctionalGroupsSequence, tags, strict=True):
        for name, value in own.items():
            macro, keyword = name.split(".")
            item = getattr(frame, macro, [Dataset()])[0]
            setattr(item, keyword, value)
            setattr(frame, macro, [item])
    one.save_as(path)
    return path


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ({"EchoTime": lambda n: [9.84, 4.92][n % 2]}, ["TE 4.92", "TE 9.84"]),
        ({"DiffusionBValue": lambda n: [1000.0, 0.0][n % 2]}, ["b0", "b1000"]),
        ({"TemporalPositionIdentifier": lambda n: [12, 9][n % 2]}, ["t0", "t1"]),
        ({"KVP": lambda n: [140, 80][n % 2]}, ["80 kV", "140 kV"]),
        ({"ConvolutionKernel": lambda n: ["B70f", "B30f"][n % 2]}, ["B30f", "B70f"]),
        (
            {"ImageType": lambda n: ["ORIGINAL", "PRIMARY", "PM"[n % 2], "FFE"]},
            ["M", "P"],
        ),
        (
            {"ConvolutionKernel": lambda n: [["Hr60f", "1"], ["Br40f", "3"]][n % 2]},
            ["Br40f, 3", "Hr60f, 1"],
        ),
        ({"EchoTime": lambda n: [9.84, ""][n % 2]}, ["rest", "TE 9.84"]),
    ],
)
def test_volumes_are_named_by_what_differs_and_sorted_by_it(tmp_path, tags, names):
    """Slices of both alternate; those of the first name have odd numbers."""
    places = {"ImagePositionPatient": lambda n: [0, 0, 3 * (n // 2)]}
    folder = write_series(tmp_path / "s", [0.0] * 10, **{**MR, **places, **tags})
    scan = load(folder)
    assert scan.header["volumes"] == names
    assert columns(scan) == [[100, 300, 500, 700, 900], [0, 200, 400, 600, 800]]
    (told,) = [item for item in scan.findings if item.code == "W_4D"]
    assert ", ".join(names) in told.message
    assert columns(load(folder, "first")) == columns(scan)[:1]
    for name, column in zip(names, columns(scan), strict=True):
        assert columns(load(folder, "cases", name)) == [column]


@pytest.mark.parametrize(
    "numbers",
    [lambda n: n + 1, lambda n: n % 5 * 3 + n // 5, lambda n: 100 - (n + 1)],
    ids=["volume by volume", "place by place", "backwards"],
)
def test_time_points_without_a_tag_follow_their_numbers(tmp_path, numbers):
    folder = write_series(tmp_path / "s", HEIGHTS * 3, InstanceNumber=numbers, **MR)
    scan = load(folder)
    found = columns(scan) if numbers(0) < numbers(5) else columns(scan)[::-1]
    assert scan.header["volumes"] == ["t0", "t1", "t2"]
    assert found == [[100 * (5 * t + z) for z in range(5)] for t in range(3)]


def test_directions_of_one_b_value_are_numbered(tmp_path):
    folder = write_series(
        tmp_path / "s", HEIGHTS * 3, DiffusionBValue=lambda n: float(1000 * (n > 4)), **MR
    )
    assert load(folder).header["volumes"] == ["b0", "b1000 0", "b1000 1"]


def test_echoes_over_time_are_both(tmp_path):
    folder = write_series(
        tmp_path / "s", HEIGHTS * 4, EchoTime=lambda n: 5 + n // 5 % 2,
        TemporalPositionIdentifier=lambda n: 1 + n // 10, **MR,
    )  # fmt: skip
    scan = load(folder)
    assert scan.header["volumes"] == ["t0 TE 5", "t0 TE 6", "t1 TE 5", "t1 TE 6"]
    assert [column[0] for column in columns(scan)] == [0, 500, 1000, 1500]


@pytest.mark.parametrize(
    "numbers", [lambda n: 1, lambda n: {4: 5, 5: 4}.get(n, n)], ids=["equal", "mixed"]
)
def test_what_no_number_tells_apart_is_refused_however_it_is_asked_for(tmp_path, numbers):
    folder = write_series(tmp_path / "s", HEIGHTS * 3, InstanceNumber=numbers, **MR)
    for several in ("refuse", "channels", "cases", "first"):
        with pytest.raises(InputError, match=r"E_MIXED_SERIES: 3 slices at each of 5 positions"):
            load(folder, several)


def test_each_volume_has_its_own_line(tmp_path):
    folder = write_series(
        tmp_path / "s", HEIGHTS * 2, EchoTime=lambda n: 5 + n // 5,
        RescaleSlope=lambda n: [2, 0.5][n // 5], RescaleIntercept=lambda n: [-7, 0][n // 5], **MR,
    )  # fmt: skip
    expected = [[100 * n * 2 - 7 for n in range(5)], [100 * n * 0.5 for n in range(5, 10)]]
    assert columns(load(folder)) == expected
    with pytest.raises(InputError, match="E_MIXED_RESCALE"):
        load(folder, "refuse")


def test_each_frame_has_its_own_line(tmp_path):
    lines = [(2.0, -7.0)] * 5 + [(0.5, 3.0)] * 5
    tags = [{"MREchoSequence.EffectiveEchoTime": 5.0 + n // 5} for n in range(10)]
    path = framed(tmp_path / "e.dcm", HEIGHTS * 2, tags, lines=lines)
    expected = [[100 * n * 2 - 7 for n in range(5)], [100 * n * 0.5 + 3 for n in range(5, 10)]]
    scan = load(path)
    assert (scan.header["volumes"], columns(scan)) == (["TE 5", "TE 6"], expected)


def test_frames_are_told_apart_by_stack_time_and_b_value(tmp_path):
    tags = [
        {
            "FrameContentSequence.StackID": str(1 + n // 10),
            "FrameContentSequence.TemporalPositionIndex": 1 + n // 5 % 2,
            "MRDiffusionSequence.DiffusionBValue": 700.0,
        }
        for n in range(20)
    ]
    scan = load(framed(tmp_path / "e.dcm", HEIGHTS * 4, tags))
    assert scan.header["volumes"] == ["stack 1 t0", "stack 1 t1", "stack 2 t0", "stack 2 t1"]
    assert [column[0] for column in columns(scan)] == [0, 500, 1000, 1500]


def test_the_public_enhanced_file_is_what_dcm2niix_makes_of_it(scans):
    """Philips, two images with a line each: the field map and its magnitude."""
    scan = load(scans / "nasty_dicom/philips_enh_mixed_rescale")
    assert scan.header["volumes"] == ["TE 0 FIELD_MAP", "TE 1.52 M"]
    for number, other in ((1, 0), (0, 1)):
        affine, expected = (GOLDENS[f"philips {other} {part}"] for part in ("affine", "voxels"))
        grid = 4 * np.indices(expected.shape).reshape(3, -1)
        way = np.linalg.inv(scan.geometry.affine) @ np.diag([-1, -1, 1, 1]) @ affine
        x, y, z = np.rint(way[:3, :3] @ grid + way[:3, 3:]).astype(int)
        found = scan.volumes[number].array[z, y, x].reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-4)
        placed = scan.geometry.affine @ way
        np.testing.assert_allclose(placed, np.diag([-1, -1, 1, 1]) @ affine, atol=1e-4)


def test_a_fault_is_told_of_its_own_volume(tmp_path):
    holed = [0.0, 2.0, 4.0, 6.0, 8.0, 0.0, 2.0, 6.0, 8.0]
    folder = write_series(tmp_path / "s", holed, EchoTime=lambda n: 5 + (n > 4), **MR)
    with pytest.raises(InputError, match=r"E_SLICE_GAP: TE 6: slices are uneven.* 1 missing"):
        load(folder)
    with pytest.raises(InputError, match=r"E_SLICE_GAP: slices are uneven"):
        load(folder, "cases", "TE 6")
    assert columns(load(folder, "cases", "TE 5")) == [[0, 100, 200, 300, 400]]


def test_what_all_volumes_have_in_common_is_told_once(tmp_path):
    cosines = [1, 0.001, 0, -0.0004, 1, 0]
    folder = write_series(
        tmp_path / "s", HEIGHTS * 3, ImageOrientationPatient=cosines,
        PhotometricInterpretation="MONOCHROME1", **MR,
    )  # fmt: skip
    codes = [item.code for item in load(folder).findings]
    assert {"W_GEOMETRY_TOLERANCE", "W_MONOCHROME1", "W_4D"} <= set(codes)
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize(
    ("heights", "lean", "code"), [([0, 2, 4, 8, 10], 0, "E_SLICE_GAP"), (HEIGHTS, 0.25, "E_TILT")]
)
def test_a_fault_that_volumes_share_is_repaired_in_all(tmp_path, heights, lean, code):
    folder = write_series(
        tmp_path / "s", heights * 2, EchoTime=lambda n: 5 + n // 5,
        ImagePositionPatient=lambda n: [0, lean * heights[n % 5], heights[n % 5]], **MR,
    )  # fmt: skip
    with pytest.raises(InputError, match=f"{code}: "):
        load(folder)
    scan, alone = load(folder, **{code: "fix"}), load(folder, "cases", "TE 6", **{code: "fix"})
    assert (scan.geometry, scan.heights) == (alone.geometry, alone.heights)
    assert len(scan.volumes) == 2
    assert scan.stack is not None


def test_volumes_on_different_grids_are_no_channels(tmp_path):
    folder = write_series(
        tmp_path / "s", [*HEIGHTS, *[height + 1 for height in HEIGHTS]],
        EchoTime=lambda n: 5 + n // 5, **MR,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"E_MIXED_SERIES: volumes TE 5 and TE 6 .* grids"):
        load(folder)
    assert load(folder, "cases", "TE 6").geometry.origin == (1, 2, 1)


def test_a_volume_that_is_not_there_is_missed_by_its_name(tmp_path):
    folder = write_series(tmp_path / "s", HEIGHTS * 2, EchoTime=lambda n: 5 + n // 5, **MR)
    with pytest.raises(
        InputError, match=r"E_MIXED_SERIES: the files hold no volume 'TE 7', but TE 5"
    ):
        load(folder, "cases", "TE 7")


def test_one_volume_is_itself_however_it_is_asked_for(tmp_path):
    folder = write_series(tmp_path / "s", HEIGHTS, EchoTime=5, **MR)
    scans = [load(folder, several) for several in ("refuse", "channels", "cases", "first")]
    assert {str(scan.to_json()) for scan in scans} == {str(scans[0].to_json())}


def test_a_reading_process_and_a_look_at_headers_agree(tmp_path):
    folder = write_series(tmp_path / "s", HEIGHTS * 2, EchoTime=lambda n: 5 + n // 5, **MR)
    for several, volume in (("channels", ""), ("first", ""), ("cases", "TE 6")):
        rules, source = ReadRules(several_volumes=several), Source(str(folder), volume=volume)
        here = read(source, rules)
        with Sandbox(rules) as sandbox:
            there, promised = sandbox.read(source), sandbox.peek(source)
        assert there.to_json() == here.to_json()
        assert columns(there) == columns(here)
        assert promised == peek(source, rules)
        assert promised.channels == len(here.volumes)
        assert promised.decoded_bytes == sum(each.array.nbytes for each in here.volumes)
