"""RTSTRUCT against analytic shapes, and the rule that the pages state."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from support.structures import ORIGIN, SHAPE, SPACING, circle, write_contours, write_image

from gpuprep.io.dicom.drawn import contours
from gpuprep.io.dicom.drawn.contours import inside
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

CENTRE = (-4.0, 13.0)


def drawn(tmp_path: Path, rois: dict[str, list], volume: str = "", **policy: str):
    if not (tmp_path / "ct").exists():
        write_image(tmp_path / "ct")
    file = write_contours(tmp_path / "rt.dcm", rois)
    image = Source(str(tmp_path / "ct"))
    return read(Source(str(file), volume=volume, drawn_on=image), ReadRules(policy=policy))


def height(z: float) -> float:
    return ORIGIN[2] + z * SPACING[0]


def distances() -> np.ndarray:
    """mm of every voxel centre of a slice from CENTRE."""
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return np.hypot(ORIGIN[0] + x * SPACING[2] - CENTRE[0], ORIGIN[1] + y * SPACING[1] - CENTRE[1])


def test_a_circle_has_exactly_the_voxels_whose_centres_are_inside(tmp_path: Path) -> None:
    scan = drawn(tmp_path, {"GTV": [circle(3.05, CENTRE, height(z)) for z in (1, 2, 3)]})
    array = scan.volumes[0].array
    chord = 3.05 * (1 - math.cos(math.pi / 720))  # by which 720 corners are less than a circle
    apart = distances()
    assert array[1:4].all(axis=0)[apart < 3.05 - chord].all()
    assert not array[:, apart > 3.05].any()
    assert not array[[0, 4, 5]].any()
    assert [finding.code for finding in scan.findings] == []


@given(
    radius=st.floats(4, 40),
    y=st.floats(45, 55),
    x=st.floats(45, 55),
)
def test_areas_of_circles_are_right_to_less_than_a_voxel_around(
    radius: float, y: float, x: float
) -> None:
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    mask = inside(
        [np.stack([y + radius * np.sin(angles), x + radius * np.cos(angles)], axis=1)], 101, 101
    )
    rows, columns = np.mgrid[:101, :101]
    apart = np.hypot(rows - y, columns - x)
    assert mask[apart < radius - 0.01].all()  # so no surface is off by as much as half a voxel
    assert not mask[apart > radius].any()
    assert abs(mask.sum() - math.pi * radius**2) < 0.35 * 2 * math.pi * radius


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=3, max_size=12))
def test_the_even_odd_rule_is_that_of_rays(corners: list[tuple[int, int]]) -> None:
    """Against a plain ray per centre, in halves so that no centre lies upon an edge's end."""
    polygon = np.array(corners, float) + 0.25
    mask = inside([polygon], 22, 22)
    for y in range(22):
        for x in range(22):
            odd = False
            for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
                if (y0 <= y) != (y1 <= y):
                    at = x0 + (y - y0) * (x1 - x0) / (y1 - y0)
                    if abs(at - x) < 1e-9:
                        break  # upon an edge: which side has it is another test's
                    odd ^= at < x
            else:
                assert mask[y, x] == odd


def test_regions_that_share_an_edge_share_no_voxel_and_leave_none_out() -> None:
    left = np.array([[0, 0], [0, 5], [10, 8], [10, 0]], float)
    right = np.array([[0, 5], [0, 12], [10, 12], [10, 8]], float)
    both = [inside([each], 10, 12) for each in (left, right)]
    assert not (both[0] & both[1]).any()
    assert (both[0] | both[1]).all()


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_contour_within_another_is_a_hole(tmp_path: Path, kind: str) -> None:
    write_image(tmp_path / "ct")
    ring = [circle(4.05, CENTRE, height(2)), circle(2.05, CENTRE, height(2))]
    file = write_contours(tmp_path / "rt.dcm", {"wall": ring}, kind=kind)
    scan = read(Source(str(file), drawn_on=Source(str(tmp_path / "ct"))), ReadRules())
    apart = distances()
    expected = (apart < 4.05) & (apart >= 2.05)
    assert np.array_equal(scan.volumes[0].array[2] != 0, expected)


def test_a_keyhole_is_a_hole(tmp_path: Path) -> None:
    outer, inner = circle(4.05, CENTRE, height(2)), circle(2.05, CENTRE, height(2))[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner, inner[-1:], outer[:1]])
    scan = drawn(tmp_path, {"wall": [keyhole]})
    apart = distances()
    assert np.array_equal(scan.volumes[0].array[2] != 0, (apart < 4.05) & (apart >= 2.05))


def test_contours_off_slices_beyond_them_and_missing_are_told(tmp_path: Path) -> None:
    rois = {
        "A": [circle(3, CENTRE, height(z)) for z in (0, 0.8, 3, 9)],
        "B": [circle(1, (-8, 8), height(z)) for z in (2, 1.7)],
    }
    scan = drawn(tmp_path, rois)
    (finding,) = scan.findings
    assert finding.code == "W_CONTOURS"
    assert {name: finding.values[name] for name in ("off", "beyond", "crowded", "skipped")} == {
        "off": 2, "beyond": 1, "crowded": 1, "skipped": {"A": 1},
    }  # fmt: skip
    assert [int((plane == 1).any()) for plane in scan.volumes[0].array] == [1, 1, 0, 1, 0, 0]
    assert "0.75 mm off" in finding.message


def test_contours_beside_the_image_and_those_that_enclose_nothing_are_told(tmp_path: Path) -> None:
    across, outside = (ORIGIN[0], ORIGIN[1]), (ORIGIN[0] - 900, ORIGIN[1])
    pair = [(*CENTRE, height(1)), (CENTRE[0] + 1, CENTRE[1], height(1))]
    rois = {"A": [circle(2, middle, height(2)) for middle in (CENTRE, across, outside)] + [pair]}
    (finding,) = drawn(tmp_path, rois).findings
    assert (finding.values["beyond"], finding.values["open"]) == (2, 1)


def test_structures_that_overlap_are_named_and_counted(tmp_path: Path) -> None:
    rois = {"Body": [circle(5, CENTRE, height(1))], "GTV": [circle(2.05, CENTRE, height(1))]}
    shared = int((distances() < 2.05).sum())
    with pytest.raises(InputError, match=f"Body and GTV share {shared} voxels"):
        drawn(tmp_path, rois)
    alone = drawn(tmp_path, rois, volume="2").volumes[0].array
    assert int(alone.sum()) == shared
    assert alone.max() == 1


def test_contours_in_other_planes_are_refused(tmp_path: Path) -> None:
    sagittal = np.array([[-4, 8, height(0)], [-4, 15, height(0)], [-4, 12, height(4)]], float)
    with pytest.raises(InputError, match="crosses 4 slices") as caught:
        drawn(tmp_path, {"A": [sagittal]})
    assert caught.value.code == "E_NOT_VOLUME"


def test_contours_without_an_image_are_refused(tmp_path: Path) -> None:
    file = write_contours(tmp_path / "rt.dcm", {"A": [circle(3, CENTRE, height(1))]})
    with pytest.raises(InputError, match="no grid of their own") as caught:
        read(Source(str(file)), ReadRules())
    assert caught.value.code == "E_NO_GEOMETRY"


def test_contours_of_no_structure_or_of_two_and_points_nowhere_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "ct")
    ring = circle(3.0, CENTRE, height(2))

    def refused(change: Callable[[Dataset], None]) -> str:
        file = write_contours(tmp_path / "rt.dcm", {"A": [ring], "B": []})
        one = dcmread(file)
        change(one)
        one.save_as(file)
        with pytest.raises(InputError) as told:
            read(Source(str(file), drawn_on=Source(str(tmp_path / "ct"))), ReadRules())
        assert told.value.code == "E_UNREADABLE"
        return told.value.message

    listed = "StructureSetROISequence"
    assert "ROI 77" in refused(
        lambda one: setattr(one.ROIContourSequence[0], "ReferencedROINumber", 77)
    )
    assert "two ROIs" in refused(
        lambda one: setattr(one[listed][1], "ROINumber", one[listed][0].ROINumber)
    )
    far = [-1.7e308, 6, 45, 1.7e308, 8, 45, -1e308, 12, 45]
    assert "no points" in refused(
        lambda one: setattr(one.ROIContourSequence[0].ContourSequence[0], "ContourData", far)
    )
    for keyword in ("ROIContourSequence", listed):
        assert keyword in refused(lambda one, lost=keyword: delattr(one, lost))


def test_a_contour_that_comes_twice_counts_once(tmp_path: Path) -> None:
    """By the even-odd rule alone it would be a hole as large as itself."""
    ring = circle(3.05, CENTRE, height(2))
    once = drawn(tmp_path, {"A": [ring]}).volumes[0].array
    scan = drawn(tmp_path, {"A": [ring, ring, circle(1.5, CENTRE, height(2))]})
    (finding,) = scan.findings
    assert "1 are another one once more" in finding.message
    assert finding.values["repeated"] == 1
    holed = drawn(tmp_path, {"A": [ring, circle(1.5, CENTRE, height(2))]}).volumes[0].array
    assert np.array_equal(scan.volumes[0].array, holed)
    assert 0 < holed.sum() < once.sum()


def test_contours_of_very_many_corners_are_drawn_part_by_part(monkeypatch) -> None:
    corners = np.random.default_rng(0).uniform(-3, 40, (500, 2))
    whole = inside([corners, corners[:90] / 2], 30, 35)
    monkeypatch.setattr(contours, "_CROSSINGS", 64)
    assert np.array_equal(inside([corners, corners[:90] / 2], 30, 35), whole)
    assert whole.any()
