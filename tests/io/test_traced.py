"""Contours that were traced through voxel centres give back the mask that they were made of."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.structures import ORIGIN, SHAPE, SPACING, write_contours, write_image

from gpuprep.io.dicom.drawn.traced import is_traced, mark_edges
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source

GOLDENS = np.load(Path(__file__).parents[1] / "goldens/rt_utils.npz")
SQUARE = np.array([[2, 3], [2, 9], [7, 9], [7, 3]], float)


def drawn(folder: Path, contours: list[np.ndarray]) -> Scan:
    write_image(folder / "ct")
    file = write_contours(folder / "rt.dcm", {"GTV": contours})
    return read(Source(str(file), drawn_on=Source(str(folder / "ct"))), ReadRules())


def at(contour: np.ndarray, z: int) -> np.ndarray:
    """A contour ``y, x`` in indices as LPS mm."""
    return in_mm(np.column_stack([contour[:, ::-1], np.full(len(contour), z)]))


def in_mm(index: np.ndarray) -> np.ndarray:
    return index * SPACING[::-1] + ORIGIN


@pytest.mark.parametrize("name", ["blobs", "ball", "lines"])
def test_contours_of_rt_utils_give_back_its_mask(tmp_path: Path, name: str) -> None:
    points = in_mm(GOLDENS[f"{name} points"])
    contours = np.split(points, np.cumsum(GOLDENS[f"{name} lengths"])[:-1])
    scan = drawn(tmp_path, contours)
    np.testing.assert_array_equal(scan.volumes[0].array, GOLDENS[f"{name} mask"])
    (finding,) = scan.findings
    assert finding.code == "W_CONTOURS"
    assert finding.values["traced"] == len(contours)
    assert f"{len(contours)} run from voxel centre to voxel centre" in finding.message


@pytest.mark.parametrize(
    "other",
    [
        np.array([[12.0, 4.2], [12.0, 8.0], [15.0, 8.0]]),  # a corner between centres
        np.array([[12.0, 4.0], [12.0, 8.0], [15.0, 9.0]]),  # a slanted edge
        np.array([[12.0, 20.0], [12.0, 24.0], [15.0, 24.0], [15.0, 20.0]]),  # beyond the image
    ],
)
def test_one_contour_that_was_not_traced_keeps_the_plain_rule(tmp_path, other: np.ndarray) -> None:
    scan = drawn(tmp_path, [at(SQUARE, 2), at(other, 3), at(np.array([[10.0, 10.0]]), 2)])
    assert scan.volumes[0].array[2].sum() == 5 * 6
    assert all(finding.values["traced"] == 0 for finding in scan.findings)
    assert scan.findings[0].values["open"] == 1


def test_lone_points_are_nothing(tmp_path: Path) -> None:
    scan = drawn(tmp_path, [at(np.array([[10.0, 10.0]]), 2), at(SQUARE[:2], 3)])
    assert not scan.volumes[0].array.any()
    assert scan.findings[0].values["open"] == 2


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 23)), min_size=3, max_size=9))
def test_every_voxel_of_a_traced_edge_is_marked_once_it_is_a_chain(
    corners: list[tuple[int, int]],
) -> None:
    """Corners are linked by a row and a column each; then the edges are the voxels along these."""
    chain = [(y, x) for here, after in zip(corners, corners[1:] + corners[:1], strict=True)
             for y, x in (here, (here[0], after[1]))]  # fmt: skip
    contour = np.array(chain, float)
    assert is_traced([contour], *SHAPE[1:])
    mask = np.zeros(SHAPE[1:], bool)
    mark_edges(mask, [contour])
    expected = np.zeros_like(mask)
    for (y0, x0), (y1, x1) in zip(chain, chain[1:] + chain[:1], strict=True):
        expected[min(y0, y1) : max(y0, y1) + 1, min(x0, x1) : max(x0, x1) + 1] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_contour_that_visits_voxels_endlessly_is_not_followed() -> None:
    there_and_back = np.tile([[0.0, 0.0], [0.0, 23.0]], (2000, 1))
    assert not is_traced([there_and_back], *SHAPE[1:])
