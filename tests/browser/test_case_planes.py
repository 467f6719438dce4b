"""What the planes of a case show, where, and what is said of it, against nibabel in every orientation."""

from urllib.parse import quote

import nibabel
import numpy as np
import pytest
from support.case_page import LETTERS, PLANES, CasePage, Upright
from support.phantoms import ORIENTATIONS

import gpuprep

OBLIQUE = [f"oblique-{code}" for code in ("RAS", "LPS", "SRP", "AIL", "PRI")]
CLICKED = ["RAS", "LPS", "ASL", "IRP", *OBLIQUE[:2]]


def sides(site, case_id: str) -> dict[str, Upright]:
    """The file, and the stored array with its values led back to the source's units."""
    file = nibabel.load(site.data / "turned" / f"{case_id}-image.nii.gz")
    with gpuprep.open_case(site.cohort("turned") / "cases" / f"{case_id}.zarr") as case:
        line = case.record["intensity"][0]
        stored = np.asarray(case.image[:], np.float64).transpose(2, 1, 0)
        values = (stored - line["offset"]) / line["scale"]
        after = nibabel.Nifti1Image(values, case.geometry.affine_ras)
    return {"before": Upright(file), "after": Upright(after)}


def grey(values: np.ndarray, window: list[float]) -> np.ndarray:
    return np.clip((values - window[0]) / (window[1] - window[0]), 0, 1) * 255


@pytest.mark.parametrize("case_id", [*ORIENTATIONS, *OBLIQUE])
def test_all_planes_show_the_right_voxels_between_the_right_letters(visit, site, case_id) -> None:
    page = CasePage(visit(f"/cohorts/turned/cases/{quote(case_id)}"))
    page.uncover()
    page.scroll_to_planes()
    page.page.js("document.querySelector('.plane').focus({preventScroll: true})")
    page.page.press("l")  # labels off
    page.settle()
    expected = sides(site, case_id)
    at = {side: each.upright([i - 1 for i in page.index(side)]) for side, each in expected.items()}
    planes = {
        (side, plane): expected[side].plane(plane, at[side])
        for side in expected
        for plane in PLANES
    }
    seen = page.all_cells({key: each.shape for key, each in planes.items()})
    window = page.page.js("window.gpuprepView.state().window")
    for (side, plane), values in planes.items():
        assert page.letters(side, plane) == LETTERS[plane]
        off = np.abs(seen[side, plane] - grey(values, window)[..., None])
        assert off.max() <= 2, (side, plane, window)
        assert np.ptp(seen[side, plane]) > 60


@pytest.mark.parametrize("case_id", CLICKED)
def test_what_is_said_of_twenty_clicked_points_is_what_the_files_hold(visit, site, case_id) -> None:
    page = CasePage(visit(f"/cohorts/turned/cases/{case_id}"))
    page.page.wait("document.querySelector('[data-read=label]').textContent !== '–'")
    page.scroll_to_planes()
    both, random = sides(site, case_id), np.random.default_rng(len(case_id))
    labels = np.asarray(nibabel.load(site.data / "turned" / f"{case_id}-label.nii.gz").dataobj)
    for number in range(20):
        side, other = [("before", "after"), ("after", "before")][number % 2]
        plane, shown = PLANES[number % 3], both[side]
        at = shown.upright([i - 1 for i in page.index(side)])
        cells = shown.plane(plane, at)
        row, column = (int(random.integers(n)) for n in cells.shape)
        page.click(side, plane, row, column, cells.shape)
        index = shown.own(shown.pick(plane, at, row, column))
        assert page.index(side) == tuple(i + 1 for i in index)
        np.testing.assert_allclose(page.mm(), (shown.affine @ [*index, 1])[:3], atol=0.006)
        np.testing.assert_allclose(page.mm("lps"), page.mm() * [-1, -1, 1], atol=1e-9)
        for each in (side, other):
            check_readout(page, each, both[each], (shown.affine @ [*index, 1])[:3])
        voxel = both["before"].nearest((shown.affine @ [*index, 1])[:3])
        if voxel is not None and side == "before":
            assert page.read("before")["label"].startswith(f"{labels[voxel]} ")


def check_readout(page: CasePage, side: str, shown: Upright, mm: np.ndarray) -> None:
    """The line of a side says the voxel that a point lies in, and what that holds."""
    exact = np.linalg.solve(shown.affine, [*mm, 1])[:3]
    told = np.array(page.index(side)) - 1
    inside = np.clip(exact, 0, np.array(shown.data.shape) - 1)
    assert np.abs(told - inside).max() <= 0.5 + 1e-6  # within a voxel, held inside the volume
    is_inside = shown.nearest(mm) is not None
    assert ("outside" in page.read(side)["index"]) != is_inside or np.abs(
        exact % 1 - 0.5
    ).min() < 1e-6
    if is_inside:
        exact_value = page.page.js("side => window.gpuprepView.state()[side].value", side)
        assert exact_value == pytest.approx(shown.data[tuple(told)], abs=1e-6)
        text = page.read(side)["value"].split()[0]
        digits = len(text.partition(".")[2])
        assert float(text) == pytest.approx(exact_value, abs=0.5 * 10**-digits + 1e-9)
    else:
        assert page.read(side)["value"] == "–"
