"""N4, CLAHE and curvature diffusion as filters of a config: masks, mm, time-outs, a whole case."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.in_memory import config_of

from gpuprep.config.filters import N4, Clahe, Filter
from gpuprep.config.model import Config
from gpuprep.ops.bias import BiasRule, find_bias
from gpuprep.ops.clahe import clahe
from gpuprep.preprocess.contrast import corrected
from gpuprep.preprocess.diffusion import curvature_diffusion
from gpuprep.preprocess.filtering import filter_voxels
from gpuprep.preprocess.projection import footprint
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import CaseError
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.provenance import provenance_rows

SPACING = (2.0, 1.0, 0.5)


def volume() -> np.ndarray:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (16, 20, 24)), indexing="ij")
    tissue = np.where(x * x + y * y + z * z < 0.5, 900.0, 500.0)
    noise = np.random.default_rng(0).normal(0, 10, tissue.shape)
    voxels = np.rint(tissue * np.exp(0.3 * x) + noise)
    voxels[:, :2] = 0
    return voxels.astype(np.int16)


def equalized(array: np.ndarray, rule: Clahe) -> np.ndarray:
    return filter_voxels(array, [Filter(clahe=rule)], SPACING, np.empty, 1)[0]


def test_n4_looks_within_the_foreground_and_divides_all() -> None:
    array, rule = volume(), N4(iterations=(5, 5))
    mask = np.zeros(array.shape, np.uint8)
    mask[2:-2, 3:-3, 3:-3] = 1
    field = find_bias(array, mask, BiasRule(iterations=(5, 5))).factor()
    found, _ = corrected(array, rule, lambda: mask)
    np.testing.assert_allclose(found, array / field, rtol=1e-6)
    assert np.abs(found - corrected(array, rule, None)[0]).max() > 1


def test_n4_fails_the_case_that_takes_too_long_or_has_nothing_positive() -> None:
    with pytest.raises(CaseError, match=r"n4 took longer than 1e-09 s"):
        corrected(volume(), N4(seconds=1e-9), None)
    with pytest.raises(CaseError, match="no two positive values"):
        corrected(-volume(), N4(), None)


def test_tiles_are_in_mm_along_x_y_z() -> None:
    array = volume()
    ends = float(array.min()), float(array.max())
    found = equalized(array, Clahe(tile=(4.0, 5.0, 8.0)))
    np.testing.assert_array_equal(found, clahe(array, (4, 5, 8), ends))
    eighths = equalized(array, Clahe())
    np.testing.assert_array_equal(eighths, clahe(array, (2, 2, 3), ends))
    assert not equalized(np.full((4, 4, 4), 7), Clahe()).any()


@pytest.mark.parametrize(
    "tree", [{"from": [1, 1]}, {"tile": 0}, {"bins": 257}, {"clip": -0.1}, {"tile": [1, 2]}]
)
def test_what_clahe_cannot_be_is_refused(tree: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Clahe.model_validate(tree)


def test_a_case_is_stored_filtered_and_its_filters_recorded(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(volume())
    image.SetSpacing(SPACING[::-1])
    (tmp_path / "in").mkdir()
    sitk.WriteImage(image, tmp_path / "in" / "one.nii.gz")
    filters = [
        {"n4": {"iterations": [5, 5]}},
        {"curvature_diffusion": {"iterations": 2}},
        {"clahe": {"tile": 8.0}},
    ]
    tree = {"image": {"orientation": "keep", "filters": filters}, "store": {"dtype": "float32"}}
    report = run(tmp_path / "in", tmp_path / "out", config=Config.model_validate(tree))
    assert report.exit_code == 0, report.failures
    case = open_cohort(tmp_path / "out")["one"]
    mask = (volume() != 0).astype(np.uint8)
    expected, field = corrected(volume(), N4(iterations=(5, 5)), lambda: mask)
    expected = curvature_diffusion(expected, SPACING, iterations=2)
    expected = equalized(expected, Clahe(tile=8.0))
    np.testing.assert_allclose(case.image[:], expected, atol=2e-5)
    (told,) = case.record["filters"]
    assert [next(iter(entry)) for entry in told] == ["n4", "curvature_diffusion", "clahe"]
    rows = provenance_rows(case.record, raw_bytes=1, stored_bytes=1)
    (words,) = (text for name, text in rows if name == "filters")
    assert words.count(", then ") == 2
    assert f"found iterations {[*field.iterations]}" in words
    assert told[0]["n4"]["found"] == {"lattice": [5, 5, 5], "iterations": [*field.iterations]}


def test_what_n4_holds_is_counted() -> None:
    with_n4, with_median = (
        footprint(0, Geometry((50, 60, 70)), 1, config_of({"image": {"filters": [each]}}))
        for each in ({"n4": {}}, {"median": {}})
    )
    tracemalloc.start()
    try:
        array = np.abs(np.random.default_rng(0).normal(500, 50, (50, 60, 70)))
        before = tracemalloc.get_traced_memory()[0]
        corrected(array, N4(iterations=(2, 2)), None)
        held = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    allowed = with_n4.working - with_median.working + 6 * array.size
    assert 0.7 * allowed < held < allowed
