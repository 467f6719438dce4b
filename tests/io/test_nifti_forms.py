"""The qform as ITK and nibabel read it: whatever the rotation, and its float32 rounding."""

from __future__ import annotations

import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gpuprep.io.reader import peek
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Preview
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry

SHAPE = (6, 5, 4)
PIXDIM = (1.0, 2.0, 1.5, 3.0)
COMPONENT = st.floats(-1, 1, width=32)
UNITS = st.tuples(*[COMPONENT] * 4).filter(lambda q: np.linalg.norm(q) > 0.1)


def written(
    path: Path, quaternion, pixdim=PIXDIM, *, codes=(1, 0), offset=(5.0, -6.0, 7.0)
) -> Path:
    """A NIfTI file with these numbers as they are; ``codes`` are those of qform and sform."""
    raw = bytearray(nibabel.Nifti1Image(np.zeros(SHAPE[::-1], np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<4f", raw, 76, *pixdim)
    struct.pack_into("<2h", raw, 252, *codes)
    struct.pack_into("<6f", raw, 256, *quaternion, *offset)
    path.write_bytes(bytes(raw))
    return path


def seen(path: Path, **policy) -> Preview:
    return peek(Source(str(path)), ReadRules(policy=policy))


def by_itk(path: Path) -> Geometry:
    image = sitk.ReadImage(str(path))
    z, y, x = reversed(image.GetSize())
    return Geometry((z, y, x), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("forms")


@settings(max_examples=200, deadline=None)
@given(UNITS, st.sampled_from([1.0, -1.0, 0.0, 0.5, float("nan")]), st.integers(-3, 3))
def test_any_rotation_is_read_as_itk_and_nibabel_read_it(folder, quaternion, sign, steps):
    """Each stored part may be some float32 steps off, as arithmetic in float32 leaves it."""
    a, *rest = np.array(quaternion) / np.linalg.norm(quaternion) * (1 if quaternion[0] >= 0 else -1)
    stored = np.float32(rest) * np.float32(1 + steps * 2**-24)
    path = written(folder / "a.nii", stored, (sign, *PIXDIM[1:]))
    found = seen(path).geometry
    true = Rotation.from_quat([*rest, a]).as_matrix() * [2, 1.5, -3 if sign == -1 else 3]
    unsure = 1e-5 / max(a, 1e-3)  # the first part is what float32 leaves of 1
    assert np.abs(found.affine_ras[:3, :3] - true).max() <= 3 * unsure
    assert found.distance(by_itk(path)) <= 20 * unsure
    length = float(np.sum(stored.astype(np.float64) ** 2))
    if length <= 1 + 3.5e-7:  # nibabel reads none beyond
        expected = Geometry.from_affine_ras(nibabel.load(path).affine, SHAPE)
        assert found.distance(expected) <= 1e-4


def test_a_sign_of_zero_is_one(folder):
    path = written(folder / "z.nii", (0, 0, 0), (0.0, 2.0, 1.5, 3.0))
    preview = seen(path)
    assert preview.geometry.distance(by_itk(path)) == 0
    assert "W_NO_AFFINE" not in {item.code for item in preview.findings}
    np.testing.assert_array_equal(preview.geometry.affine_ras, nibabel.load(path).affine)


@pytest.mark.parametrize("excess", [1e-7, 1e-6, 9e-6])
def test_a_quaternion_too_long_by_rounding_is_made_a_unit(folder, excess):
    """nibabel refuses those above 3.6e-7; ITK reads them all."""
    path = written(folder / "l.nii", np.array([0.6, 0.8, 0.0]) * np.sqrt(1 + excess))
    geometry = seen(path).geometry
    assert geometry.distance(by_itk(path)) <= 1e-5
    assert geometry.direction == pytest.approx(
        [0.28, -0.96, 0, -0.96, -0.28, 0, 0, 0, -1], abs=1e-6
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quaternion": (1.2, 0.5, 0)}, "length 1.3, more than 1"),
        ({"quaternion": (float("nan"), 0, 0)}, "quaternion is (nan, 0, 0)"),
        ({"offset": (0, float("inf"), 0)}, "offset (0, inf, 0)"),
        ({"pixdim": (-3.0, 2, 1.5, 3)}, "pixdim[0] is -3"),  # nibabel takes 1, ITK -1
        ({"pixdim": (1.0, -2, 1.5, 3)}, "pixdim[1:4] is (-2, 1.5, 3)"),  # ITK mirrors, nibabel not
    ],
)
def test_a_coded_qform_that_cannot_be_read_is_no_missing_one(folder, change, words):
    path = written(folder / "f.nii", **{"quaternion": (0, 0, 0), **change})
    with pytest.raises(InputError) as error:
        seen(path)
    assert error.value.code == "E_NO_GEOMETRY"
    assert words in error.value.message
    (first, *_) = seen(path, E_NO_GEOMETRY="warn").findings
    assert (first.code, first.severity) == ("E_NO_GEOMETRY", "warn")


def test_beside_a_good_sform_it_is_told(folder):
    path = written(folder / "s.nii", (1.2, 0.5, 0), codes=(1, 1))
    (told,) = (
        item
        for item in seen(path).findings
        if item.code == "W_SFORM_QFORM" and "read" in item.message
    )
    assert "the sform was used" in told.message


def test_a_sform_of_zeros_is_told_and_the_qform_taken(folder):
    path = written(folder / "0.nii", (0, 0, 0), codes=(1, 1))
    raw = bytearray(path.read_bytes())
    raw[280:328] = bytes(48)
    path.write_bytes(bytes(raw))
    preview = seen(path)
    assert preview.geometry.spacing == (2.0, 1.5, 3.0)
    assert "the qform was used" in preview.findings[0].message
    struct.pack_into("<h", raw, 252, 0)
    path.write_bytes(bytes(raw))
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*the sform \(code 1\)"):
        seen(path)


def test_a_plane_needs_no_third_spacing(folder):
    image = nibabel.Nifti1Image(np.zeros((5, 4), np.int16), np.eye(4))
    raw = bytearray(image.to_bytes())
    struct.pack_into("<4f", raw, 76, 1.0, 2.0, 1.5, 0.0)
    struct.pack_into("<2h", raw, 252, 1, 0)
    (folder / "p.nii").write_bytes(bytes(raw))
    assert seen(folder / "p.nii").geometry.spacing == (2.0, 1.5, 1.0)
