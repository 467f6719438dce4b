"""What the comparison with public truths measures, on shapes whose answer is known; nothing is fetched."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.structures import SHAPE, write_image

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return __import__("public_rows")


def test_a_file_with_other_axes_is_the_same_and_a_voxel_and_a_shift_are_found(tmp_path, rows):
    write_image(tmp_path / "ct")
    scan = read(Source(str(tmp_path / "ct")), ReadRules())
    array = scan.volumes[0].array.transpose(2, 1, 0)[::-1].copy()
    affine = rows.LPS @ rows.affine_of(scan.geometry) @ np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] += (affine @ [1 - array.shape[0], 0, 0, 0])[:3]
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii")
    same = rows.volumes_row("ct", "itself", scan, tmp_path / "a.nii")
    assert (same["differ"], same["voxels"]) == (0, np.prod(SHAPE))
    assert same["apart_mm"] < 1e-5
    array[3, 3, 3] += 1
    affine[2, 3] += 0.25
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "b.nii")
    other = rows.volumes_row("ct", "another", scan, tmp_path / "b.nii")
    assert other["differ"] == 1
    assert other["apart_mm"] == pytest.approx(0.25, abs=1e-5)


def test_surfaces_of_a_disc_lie_within_half_a_voxel_and_those_of_a_shifted_one_do_not(rows):
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = np.stack([20.3 + 9 * np.cos(angles), 19.8 + 9 * np.sin(angles)], axis=1)
    y, x = np.mgrid[:40, :40]
    disc = (np.hypot(x - 20.3, y - 19.8) < 9)[None]
    measured = __import__("public_contours").surface_distances
    assert measured(disc, {0: [circle]}).max() <= 0.5
    assert measured(np.roll(disc, 1, axis=2), {0: [circle]}).max() == pytest.approx(1.2, abs=0.3)


def test_a_file_with_another_sum_is_not_used(tmp_path: Path, rows: Any) -> None:
    data = __import__("public_data")
    (tmp_path / data.ARCHIVES["heudiconv"].file).write_bytes(b"else")
    with pytest.raises(data.MissingDataError, match="has the sum"):
        data.unpacked("heudiconv", tmp_path)
