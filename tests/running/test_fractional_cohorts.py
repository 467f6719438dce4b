"""``over: cohort`` for fractional images, beside whole numbers and voxels that are not finite."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import contents, run

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")

STEPS = [
    {"percentile_clip": {"low": 2, "high": 98, "over": "cohort"}},
    {"zscore": {"over": "cohort"}},
]
CONFIG = {
    "image": {"crop": {"to": "nonzero"}, "intensity": STEPS},
    "store": {"dtype": "float32"},
}


def save(path: Path, array: np.ndarray) -> None:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(array, affine, dtype=array.dtype), path)


@pytest.fixture
def voxels(tmp_path: Path) -> list[np.ndarray]:
    """Three fractional cases, of which one has a background of NaN and one of zeros, and a whole one."""
    (tmp_path / "in").mkdir()
    arrays = []
    for number, background in enumerate((np.nan, 0, None, None)):
        random = np.random.default_rng(number)
        array = random.gamma(2.0, 140, (24, 25, 26 + number)).astype("f4")
        if background is not None:
            inside = np.zeros(array.shape, bool)
            inside[6:20, 5:21, 4:20] = True
            array = np.where(inside, array, np.float32(background))
            array[7, 7, 7] = np.inf
        if number == 3:
            array = np.rint(array).astype("i2")
        save(tmp_path / "in" / f"case{number}.nii.gz", array)
        arrays.append(array)
    return arrays


def test_a_cohort_of_fractions_is_normalised_by_all_its_foreground(voxels, tmp_path):
    assert run(tmp_path / "in", tmp_path / "out", CONFIG).exit_code == 0
    inside = [array[np.isfinite(array) & (array != 0)] for array in voxels]
    together = np.concatenate(inside).astype(np.float64)
    ends = np.percentile(together, [2, 98])
    clipped = np.clip(together, *ends)
    for case in gpuprep.open(tmp_path / "out").values():
        numbers = case.record["intensity"][0]
        assert numbers["clip"] == pytest.approx(ends.tolist(), rel=2**-13)
        assert numbers["scale"] == pytest.approx(1 / clipped.std(), rel=1e-3)
        mean = -numbers["offset"] / numbers["scale"]
        assert mean == pytest.approx(clipped.mean(), rel=1e-4)
    nan, zero = (gpuprep.open(tmp_path / "out")[f"case{number}"] for number in (0, 1))
    assert nan.record["geometry"]["crop"] == zero.record["geometry"]["crop"]
    assert [finding.code for finding in nan.findings].count("W_NAN") == 1
    assert run(tmp_path / "in", tmp_path / "out", CONFIG).finished.skipped == 4


def test_workers_that_finish_in_any_order_store_the_same_bytes(voxels, tmp_path):
    assert len(voxels) == 4
    run(tmp_path / "in", tmp_path / "serial", CONFIG)
    run(tmp_path / "in", tmp_path / "local", CONFIG, scheduler="local", workers=2)
    assert contents(tmp_path / "serial") == contents(tmp_path / "local")
    kept = [(tmp_path / name / "fingerprint.json").read_bytes() for name in ("serial", "local")]
    assert kept[0] == kept[1]
