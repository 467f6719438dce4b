"""Geometry: axis orders, LPS/RAS, orientation, crops, against nibabel and SimpleITK."""

import itertools

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.values.geometry import Geometry, shear_degrees
from gpuprep.values.orientation import check_orientation

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*axes)
]


def oblique(shape=(4, 5, 6), angle=0.3):
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]]
    )
    return Geometry(shape, (0.7, 0.8, 2.5), (-10.0, 20.5, -300.25), tuple(matrix.ravel()))


def test_all_48_orientations_are_exact_round_trips():
    geometry = oblique()
    array = np.arange(geometry.voxels).reshape(geometry.shape)
    points = geometry.index_to_physical(np.stack(np.indices(geometry.shape), -1))
    assert len(ORIENTATIONS) == 48
    for code in ORIENTATIONS:
        turned, move = geometry.reorient(code)
        view = move.view(array)
        assert turned.orientation == code
        assert view.shape == turned.shape
        moved = turned.index_to_physical(np.stack(np.indices(turned.shape), -1))
        order = np.argsort(view.ravel())
        np.testing.assert_allclose(moved.reshape(-1, 3)[order], points.reshape(-1, 3), atol=1e-9)
        back, inverse = turned.reorient(geometry.orientation)
        assert inverse == move.inverse
        np.testing.assert_array_equal(inverse.view(view), array)
        assert back.distance(geometry) < 1e-9


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_reorientation_agrees_with_simpleitk(code):
    geometry = oblique()
    image = sitk.GetImageFromArray(np.arange(geometry.voxels).reshape(geometry.shape))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    expected = sitk.DICOMOrient(image, code)
    turned, move = geometry.reorient(code)
    array = move.view(sitk.GetArrayFromImage(image))
    np.testing.assert_array_equal(array, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(turned.origin, expected.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(turned.spacing, expected.GetSpacing(), atol=1e-12)
    np.testing.assert_allclose(turned.direction, expected.GetDirection(), atol=1e-12)


def test_nibabel_agrees_on_orientation_and_ras_affine():
    for code in ORIENTATIONS:
        geometry, _ = oblique().reorient(code)
        assert "".join(nibabel.aff2axcodes(geometry.affine_ras)) == code
        again = Geometry.from_affine_ras(geometry.affine_ras, geometry.shape)
        assert again.distance(geometry) < 1e-9


@given(
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.floats(0.05, 20)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
    st.tuples(*[st.floats(-20, 20)] * 3),
)
def test_index_and_physical_are_inverse(shape, spacing, origin, index):
    geometry = Geometry(shape, spacing, origin, oblique().direction)
    back = geometry.physical_to_index(geometry.index_to_physical(index))
    np.testing.assert_allclose(back, index, atol=1e-9 * (1 + 1000 / min(spacing)))
    assert Geometry.from_json(geometry.to_json()) == geometry


def test_crop_keeps_world_positions():
    geometry = oblique()
    box = (slice(1, 3), slice(2, 5), slice(0, 4))
    cropped = geometry.crop(box)
    assert cropped.shape == (2, 3, 4)
    np.testing.assert_allclose(
        cropped.index_to_physical([0, 0, 0]), geometry.index_to_physical([1, 2, 0])
    )


def test_axis_orders_differ_between_shape_and_size():
    geometry = Geometry((2, 3, 4), (0.5, 0.6, 0.7))
    assert geometry.size == (4, 3, 2)
    assert geometry.spacing_zyx == (0.7, 0.6, 0.5)
    np.testing.assert_allclose(geometry.index_to_physical([1, 0, 0]), [0, 0, 0.7])


def test_shear_is_measured_in_degrees():
    affine = np.eye(4)
    affine[1, 2] = np.tan(np.radians(16.5))
    assert shear_degrees(affine) == pytest.approx(16.5, abs=1e-9)
    assert shear_degrees(oblique().affine) < 1e-9


@pytest.mark.parametrize("code", ["LP", "LPSS", "LLS", "XYZ", "LRS", ""])
def test_impossible_orientations_are_refused(code):
    with pytest.raises(ValueError, match="three letters"):
        check_orientation(code)
