"""What each of nnU-Net's readers notes of an image, and needs to write a prediction of it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from nibabel.orientations import io_orientation

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.store.nnunet.properties import case_properties
from gpuprep.values.case import Source


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sagittal volume, somewhat oblique."""
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
    image.SetSpacing((0.5, 0.75, 3.0))
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.1, 0.05, 0.0)
    sagittal = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]])
    image.SetDirection((np.reshape(turn.GetMatrix(), (3, 3)) @ sagittal).ravel())
    image.SetOrigin((-20.0, 7.0, 33.0))
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    return tmp_path / "image.nii.gz"


def noted(file: Path, reader: str, orientation: str = "") -> dict:
    source = read(Source(str(file)), ReadRules()).geometry
    oriented, _ = source.reorient(orientation or source.orientation)
    grids = {"source": source.to_json(), "oriented": oriented.to_json()}
    grids["crop"] = [[0, edge] for edge in oriented.shape]
    return case_properties(grids, (0, 1, 2), None, reader)


def test_nibabels_reader_has_nibabels_affine(file: Path) -> None:
    told = noted(file, "NibabelIO")
    assert "sitk_stuff" not in told
    affine = told["nibabel_stuff"]["original_affine"]
    np.testing.assert_allclose(affine, nibabel.load(file).affine, atol=1e-5)
    assert set(told["nibabel_stuff"]) == {"original_affine"}


def test_nibabels_turning_reader_comes_back_by_its_own_check(file: Path) -> None:
    told = noted(file, "NibabelIOWithReorient", "RAS")["nibabel_stuff"]
    image = nibabel.load(file)
    turned = image.as_reoriented(io_orientation(image.affine))
    np.testing.assert_allclose(told["original_affine"], image.affine, atol=1e-5)
    np.testing.assert_allclose(told["reoriented_affine"], turned.affine, atol=1e-5)
    prediction = nibabel.Nifti1Image(np.zeros(turned.shape), told["reoriented_affine"])
    ways = nibabel.orientations.ornt_transform(
        io_orientation(told["reoriented_affine"]), io_orientation(told["original_affine"])
    )
    assert np.allclose(prediction.as_reoriented(ways).affine, told["original_affine"], atol=1e-5)


def test_simpleitks_turning_reader_knows_where_the_file_looked(file: Path) -> None:
    told = noted(file, "SimpleITKIOWithReorient", "RAS")["sitk_stuff"]
    image = sitk.ReadImage(str(file))
    turned = sitk.DICOMOrient(image, "RAS")
    np.testing.assert_allclose(told["direction"], turned.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(told["origin"], turned.GetOrigin(), atol=1e-4)
    assert told["spacing"] == pytest.approx(turned.GetSpacing())
    facing = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
    assert told["original_orientation"] == facing(image.GetDirection())


def test_the_usual_reader_notes_what_it_always_did(file: Path) -> None:
    told = noted(file, "SimpleITKIO")
    assert set(told["sitk_stuff"]) == {"spacing", "origin", "direction"}
    assert "nibabel_stuff" not in told
