"""An input that is refused still shows its error and the geometry that its headers hold."""

from __future__ import annotations

import io
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from rich.console import Console
from support.dicom_series import write_series
from support.hostile import MAKERS, leaning, nifti, series, two_series
from typer.testing import CliRunner

from gpuprep.cli.app import app
from gpuprep.config.model import Config
from gpuprep.viewing import inspect_path
from gpuprep.viewing.page import page
from gpuprep.viewing.subject import Inspection

pytestmark = pytest.mark.usefixtures("reads_here")


def text_of(found: Inspection) -> str:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(page(found))
    return console.export_text()


def refused(path: Path, code: str) -> Inspection:
    found = inspect_path(path, Config())
    assert found.failure is not None
    assert found.failure.code == code
    assert found.failure.message in " ".join(item.message for item in found.findings)
    json.dumps(found.to_json())
    return found


def test_a_sheared_file_shows_its_affine_as_it_is(tmp_path):
    affine = leaning(0.3)
    found = refused(nifti(tmp_path / "a.nii", affine=affine), "E_SHEAR")
    assert found.geometry is not None
    np.testing.assert_allclose(found.geometry.affine_ras, affine, atol=1e-6)
    np.testing.assert_allclose(found.to_json()["geometry"]["affine"], found.geometry.affine)
    told = text_of(found)
    for words in ("E_SHEAR", "7 × 6 × 5 voxels", "sheared by 16.70°", "affine (LPS)"):
        assert words in told


def test_gaps_show_where_the_slices_are(tmp_path):
    found = refused(write_series(tmp_path / "s", [3.0, 5.0, 7.0, 11.0, 13.0]), "E_SLICE_GAP")
    assert found.heights == pytest.approx((0, 2, 4, 8, 10))
    assert found.to_json()["slice_heights_mm"] == pytest.approx([0, 2, 4, 8, 10])
    told = text_of(found)
    assert "0, 2, 4, 8, 10 mm" in told
    assert "1, 2, 3 mm (LPS)" in told


def test_a_tilt_shows_its_slant_and_one_with_gaps_both(tmp_path):
    heights = [0, 2, 4, 8, 10]
    places = lambda n: [0, heights[n] / 4, heights[n]]  # noqa: E731
    found = refused(
        write_series(tmp_path / "s", heights, ImagePositionPatient=places), "E_SLICE_GAP"
    )
    assert found.geometry is not None
    assert found.geometry.sheared
    assert "sheared by 14.04°" in text_of(found)
    assert len(found.heights) == 5


SEEN = [
    "E_TRUNCATED", "E_NO_GEOMETRY", "E_SHEAR", "E_MIXED_SERIES", "E_MIXED_RESCALE", "E_TILT", "E_SLICE_GAP",
    "E_SLICE_DUP", "E_MOSAIC", "E_PIXEL_TYPE",
]  # fmt: skip


@pytest.mark.parametrize("code", SEEN)
def test_every_refusal_after_the_geometry_shows_it(tmp_path, code):
    for at, make in enumerate(MAKERS[code]):
        if make is two_series:
            continue  # two cases
        (tmp_path / str(at)).mkdir()
        found = refused(make(tmp_path / str(at)), code)
        assert found.geometry is not None, (code, at)
        assert "affine (LPS)" in text_of(found)


def test_colours_and_limits_do_not_hide_it_either(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((5, 6, 7), np.complex64), np.diag([-2, -2, 3, 1.0]))
    nibabel.save(image, tmp_path / "c.nii")
    found = refused(tmp_path / "c.nii", "E_PIXEL_TYPE")
    assert found.geometry is not None
    assert found.geometry.spacing == (2, 2, 3)
    folder = series(PhotometricInterpretation="RGB", BitsAllocated=1, BitsStored=1)(tmp_path)
    assert refused(folder, "E_PIXEL_TYPE").geometry is not None
    few = Config.model_validate({"input": {"limits": {"voxels": 10}}})
    assert inspect_path(nifti(tmp_path / "d.nii"), few).geometry is not None


def test_the_command_shows_it_and_fails(tmp_path):
    path = nifti(tmp_path / "a.nii", affine=leaning(0.3))
    result = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == 1
    assert "E_SHEAR" in result.output
    assert "affine (LPS)" in result.output
