"""NIfTI voxels and what else a header says: dtypes, rescale, pairs, units, hostile and damaged headers."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.scans import assert_same_voxels

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, InputError

RULES = ReadRules()


LAX = ReadRules(policy={"E_SHEAR": "fix", "E_NO_GEOMETRY": "warn"})


def test_accepted_shear_is_the_nearest_grid_and_says_how_far_it_is(scans):
    path = scans / "nasty_nifti/real/shear.nii.gz"
    scan = read(Source(str(path)), ReadRules(policy={"E_SHEAR": "warn"}))
    matrix = scan.geometry.matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    affine = np.diag([-1, -1, 1, 1]) @ nibabel.load(path).affine
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in scan.geometry.size])).reshape(3, -1)
    there = (affine[:3, :3] @ corners).T + affine[:3, 3]
    here = scan.geometry.index_to_physical(corners[::-1].T)
    finding = next(item for item in scan.findings if item.code == "E_SHEAR")
    assert finding.severity == "warn"
    assert finding.values["largest_mm"] == pytest.approx(np.linalg.norm(here - there, axis=1).max())
    with pytest.raises(InputError, match=r"18\.5°.*mm"):
        read(Source(str(path)), RULES)


def test_a_zero_pixdim_can_be_overruled_by_the_affine(scans):
    scan = read(Source(str(scans / "nasty_nifti/synthetic/pixdim0.nii")), LAX)
    base = read(Source(str(scans / "nasty_nifti/synthetic/base.nii.gz")), RULES)
    assert scan.geometry.distance(base.geometry) < 1e-5


def nifti1(shape, dtype="<i2", magic=b"n+1\0", **fields) -> bytes:
    """A NIfTI-1 header of 352 bytes with an identity-like sform."""
    header = nibabel.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header["dim"][:] = [len(shape), *shape, *[1] * (7 - len(shape))]
    header.set_data_dtype(np.dtype(dtype).newbyteorder("="))
    header["pixdim"][1:4] = (2, 2, 3)
    header["vox_offset"] = 352
    header.set_sform(np.diag([-2, -2, 3, 1]), 1)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock[:344] + magic + bytes(4)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", ">f4", "<u2", "|u1", ">f8", ">i8", "<u4"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_dtypes_and_byte_orders_against_nibabel(tmp_path, dtype, pack):
    voxels = np.arange(4 * 5 * 6).reshape(6, 5, 4).astype(dtype)
    contents = nifti1((4, 5, 6), dtype) + voxels.tobytes()
    path = tmp_path / "x.nii"
    path.write_bytes(pack(contents))
    scan = read(Source(str(path)), RULES)
    assert scan.volumes[0].array.dtype.isnative
    assert_same_voxels(scan, np.asarray(nibabel.Nifti1Image.from_bytes(contents).dataobj).T[None])


@given(
    stored=st.lists(st.integers(-32768, 32767), min_size=8, max_size=8),
    slope=st.one_of(st.integers(-40, 40), st.floats(-100, 100, width=32)),
    intercept=st.one_of(st.integers(-2000, 2000), st.floats(-1000, 1000, width=32)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_rescale_line_is_applied_once(tmp_path, stored, slope, intercept):
    voxels = np.array(stored, "<i2").reshape(2, 2, 2)
    path = tmp_path / "x.nii"
    path.write_bytes(nifti1((2, 2, 2), scl_slope=slope, scl_inter=intercept) + voxels.tobytes())
    line = (float(np.float32(slope)), float(np.float32(intercept)))
    expected = voxels.astype(np.float64) * line[0] + line[1] if line[0] else voxels
    array = read(Source(str(path)), RULES).volumes[0].array
    whole = line[0].is_integer() and line[1].is_integer()
    assert array.dtype.kind == ("i" if whole or not line[0] else "f")
    np.testing.assert_allclose(array, expected, rtol=6e-8, atol=1e-30)


def test_float64_is_rounded_to_float32_and_large_numbers_are_told(tmp_path):
    voxels = np.array([0.1, 2**24 + 1, -5, np.nan, 1, 2, 3, 4]).reshape(2, 2, 2)
    path = tmp_path / "x.nii"
    path.write_bytes(nifti1((2, 2, 2), "<f8") + voxels.tobytes())
    scan = read(Source(str(path)), RULES)
    assert {item.code for item in scan.findings} >= {"W_PRECISION", "W_NAN"}
    np.testing.assert_array_equal(scan.volumes[0].array, voxels.astype(np.float32))
    assert scan.header["stored_dtype"] == "float64"


def test_64_bit_labels_beyond_32_bits_become_float32(tmp_path):
    voxels = np.array([2**40, 1, 2, 3, 4, 5, 6, 7], "<i8").reshape(2, 2, 2)
    path = tmp_path / "x.nii"
    path.write_bytes(nifti1((2, 2, 2), "<i8") + voxels.tobytes())
    scan = read(Source(str(path)), RULES)
    assert scan.volumes[0].array.dtype == np.float32
    assert "W_PRECISION" in {item.code for item in scan.findings}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (nifti1((2048, 2048, 2048), "<f4"), "E_LIMIT"),  # 32 GiB in 64 compressed bytes
        (nifti1((1024, 1024, 1024), "<i2"), "E_TRUNCATED"),  # 2 GiB, allowed but impossible
        (nifti1((32767, 32767, 32767), "<f4"), "E_LIMIT"),
        (nifti1((-5, 4, 4)), "E_NOT_VOLUME"),
        (nifti1((0, 4, 4)), "E_NOT_VOLUME"),
        (nifti1((100,)), "E_NOT_VOLUME"),
        (nifti1((4, 4, 4, 3, 2)), "E_NOT_VOLUME"),
        (nifti1((4, 4, 4), vox_offset=np.nan), "E_UNREADABLE"),
        (nifti1((4, 4, 4), vox_offset=17), "E_UNREADABLE"),
        (nifti1((4, 4, 4), vox_offset=1e12), "E_TRUNCATED"),
        (nifti1((4, 4, 4), scl_slope=2, scl_inter=np.inf), "E_UNREADABLE"),
        (nifti1((4, 4, 4), datatype=1), "E_PIXEL_TYPE"),
        (nifti1((4, 4, 4), datatype=4096), "E_PIXEL_TYPE"),
        (nifti1((4, 4, 4), pixdim=np.full(8, np.nan)), "E_NO_GEOMETRY"),
        (nifti1((4, 4, 4))[:200], "E_UNREADABLE"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_hostile_headers_cost_nothing(tmp_path, header, code, pack):
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(pack(header + bytes(64)))

    def refuse(shape: object, dtype: object) -> np.ndarray:
        raise AssertionError(f"asked for {shape} of {dtype}")

    with pytest.raises(InputError) as error:
        read(Source(str(path)), RULES, refuse)
    assert error.value.code == code
    assert str(path) in str(error.value)


@given(at=st.integers(0, 347), value=st.integers(0, 255), more=st.binary(max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_damaged_headers_end_as_case_errors(tmp_path, at, value, more):
    contents = bytearray(nifti1((4, 5, 6)) + bytes(240))
    contents[at : at + 1 + len(more)] = bytes([value]) + more
    path = tmp_path / "x.nii"
    path.write_bytes(bytes(contents))
    rules = ReadRules(max_bytes=1_000_000, policy={"E_SHEAR": "fix"})
    try:
        scan = read(Source(str(path)), rules)
    except CaseError:
        return
    assert np.isfinite(scan.geometry.affine).all()


def test_analyze_is_refused_unless_the_policy_takes_its_guess(tmp_path):
    voxels = np.arange(60, dtype="<i2").reshape(5, 4, 3)
    (tmp_path / "x.hdr").write_bytes(nifti1((3, 4, 5), magic=bytes(4), vox_offset=0)[:348])
    (tmp_path / "x.img").write_bytes(voxels.tobytes())
    source = Source(str(tmp_path / "x.img"))
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*Analyze"):
        read(source, RULES)
    scan = read(source, LAX)
    np.testing.assert_array_equal(scan.volumes[0].array, voxels)
    assert scan.format == "analyze"
    assert scan.geometry.spacing == (2, 2, 3)


def test_a_lost_half_of_a_pair_is_named(tmp_path):
    (tmp_path / "x.hdr").write_bytes(nifti1((3, 4, 5), magic=b"ni1\0", vox_offset=0)[:348])
    with pytest.raises(InputError, match=r"E_UNREADABLE.*x\.img is missing"):
        read(Source(str(tmp_path / "x.hdr")), RULES)


def test_the_spacing_of_pixdim_against_the_sform_is_told(tmp_path):
    path = tmp_path / "x.nii"
    path.write_bytes(nifti1((4, 5, 6), pixdim=[1, 2, 2, 5, 0, 0, 0, 0]) + bytes(240))
    scan = read(Source(str(path)), RULES)
    finding = next(item for item in scan.findings if item.code == "W_SFORM_QFORM")
    assert "pixdim 2×2×5" in finding.message
    assert scan.geometry.spacing == (2, 2, 3)


def test_metres_become_millimetres(tmp_path):
    path = tmp_path / "x.nii"
    affine = np.diag([-0.002, -0.002, 0.003, 1])
    contents = bytearray(
        nifti1((4, 5, 6), pixdim=[1, 0.002, 0.002, 0.003, 0, 0, 0, 0], xyzt_units=1)
    )
    struct.pack_into("<12f", contents, 280, *affine[:3].ravel())
    path.write_bytes(bytes(contents) + bytes(240))
    scan = read(Source(str(path)), RULES)
    np.testing.assert_allclose(scan.geometry.spacing, (2, 2, 3), rtol=1e-6)
    assert {item.code for item in scan.findings} == {"W_UNITS"}


def test_identity_is_the_sha256_of_the_files(scans):
    folder = scans / "nasty_nifti/synthetic"
    for name, files in (("base.nii.gz", ["base.nii.gz"]), ("pair.hdr", ["pair.hdr", "pair.img"])):
        identity = read(Source(str(folder / name)), RULES).identity
        assert [Path(file.path).name for file in identity] == files
        for file in identity:
            contents = Path(file.path).read_bytes()
            assert (file.size, file.sha256) == (len(contents), hashlib.sha256(contents).hexdigest())
