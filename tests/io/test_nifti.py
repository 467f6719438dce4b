"""NIfTI: every hostile file ends as it should, and good files agree with nibabel and SimpleITK."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from support.scans import assert_same_voxels

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry

RULES = ReadRules()


OBLIQUE, FEW, FOUR = "W_OBLIQUE", "W_FEW_SLICES", "W_4D"


# Path under nasty_nifti → the error code, or (channels, dtype, codes of the findings).
OUTCOMES: dict[str, str | tuple[int, str, set[str]]] = {
    # 1×2×3 voxels with three components, uint8 with a slope: kills a process that uses SimpleITK
    "reader_js/5D_small.nii": (3, "float32", {OBLIQUE, FEW, FOUR}),
    "reader_js/5D_zeros.nii.gz": (3, "uint8", {OBLIQUE, FOUR}),
    "reader_js/air.hdr.gz": (1, "float32", set()),
    "reader_js/air.img.gz": (1, "float32", set()),
    "reader_js/air2.hdr.gz": (1, "float32", set()),
    "reader_js/air2.img.gz": (1, "float32", set()),
    "reader_js/avg152T1_LR_nifti.nii": (1, "uint8", set()),
    "reader_js/avg152T1_LR_nifti.nii.gz": (1, "uint8", set()),
    "reader_js/avg152T1_LR_nifti2.nii.gz": (1, "float32", set()),
    "reader_js/big.nii.gz": (1, "float32", set()),
    "reader_js/little.nii.gz": (1, "float32", set()),
    "reader_js/not-nifti.nii": "E_UNREADABLE",
    "reader_js/with_extension.nii.gz": (1, "uint8", set()),
    "real/CT_AVM.nii.gz": (1, "float32", set()),  # slope 2.2086275
    "real/CT_pitch.nii.gz": (1, "uint8", {OBLIQUE}),
    "real/complex.nii.gz": "E_PIXEL_TYPE",
    "real/ct_perfusion.nii.gz": "E_PIXEL_TYPE",  # RGB
    "real/pcasl.nii.gz": (10, "int16", {OBLIQUE, FOUR}),
    "real/shear.nii.gz": "E_SHEAR",  # gantry tilt kept in the sform, lost in the qform
    "synthetic/2d.nii.gz": (1, "int16", {FEW, "W_FLAT"}),
    "synthetic/4d.nii.gz": (3, "int16", {FOUR}),
    "synthetic/4d_t1.nii.gz": (1, "int16", set()),
    "synthetic/5d_channels.nii.gz": (2, "int16", {FOUR}),
    "synthetic/actually_gz.nii": (1, "int16", set()),
    "synthetic/badmagic.nii": "E_UNREADABLE",
    "synthetic/base.nii.gz": (1, "int16", set()),
    "synthetic/bigendian.nii": (1, "int16", set()),
    "synthetic/concat_members.nii.gz": (1, "int16", set()),
    "synthetic/crc_bad.nii.gz": "E_UNREADABLE",
    "synthetic/dtype_f8.nii.gz": (1, "float32", set()),
    "synthetic/dtype_i1.nii.gz": (1, "int8", set()),
    "synthetic/dtype_i8.nii.gz": (1, "int32", set()),
    "synthetic/dtype_u4.nii.gz": (1, "uint32", set()),
    "synthetic/dtype_u8.nii.gz": (1, "int32", set()),
    "synthetic/label_float.nii.gz": (1, "float32", set()),
    "synthetic/label_shifted.nii.gz": (1, "uint8", set()),
    "synthetic/label_slope.nii.gz": (1, "float32", set()),  # slope 1/255
    "synthetic/n.nii": (1, "float32", {"W_NAN", "W_IDENTITY_AFFINE", FEW}),
    "synthetic/nan_inf.nii.gz": (1, "float32", {"W_NAN"}),
    "synthetic/nifti2.nii.gz": (1, "int16", set()),
    "synthetic/no_forms.nii.gz": (1, "int16", {"W_NO_AFFINE"}),
    "synthetic/not_gz.nii.gz": (1, "int16", set()),
    "synthetic/oblique.nii.gz": (1, "int16", {OBLIQUE}),
    "synthetic/pair.hdr": (1, "int16", set()),
    "synthetic/pair.img": (1, "int16", set()),
    "synthetic/pixdim0.nii": "E_NO_GEOMETRY",
    "synthetic/rgb.nii.gz": "E_PIXEL_TYPE",
    "synthetic/scl_nan.nii": (1, "int16", set()),
    "synthetic/scl_slope.nii.gz": (1, "int16", set()),  # slope 2, intercept -1024: whole numbers
    "synthetic/scl_slope0.nii": (1, "int16", set()),
    "synthetic/sform2_ne_qform1.nii.gz": (1, "int16", {"W_SFORM_QFORM"}),
    "synthetic/sform_ne_qform.nii.gz": (1, "int16", {"W_SFORM_QFORM"}),
    "synthetic/shear_sform.nii.gz": "E_SHEAR",
    "synthetic/shear_sform_good_qform.nii.gz": "E_SHEAR",
    "synthetic/trunc.nii": "E_TRUNCATED",
    "synthetic/trunc.nii.gz": "E_TRUNCATED",
    "synthetic/vec2.nii.gz": (2, "int16", {FOUR}),
    "synthetic/xyzt_um.nii": (1, "int16", {"W_UNITS", "W_SPACING_OUTLIER"}),
    "synthetic/xyzt_unknown.nii": (1, "int16", set()),
    "synthetic/zero.nii.gz": "E_UNREADABLE",
    "synthetic/パス 体积 é/体积-0 ü.nii.gz": (1, "int16", set()),
}


# Good files that SimpleITK reads right: 3-D, one affine, no NaN (see the table of its faults).
ITK_READS = [
    name
    for name, outcome in OUTCOMES.items()
    if isinstance(outcome, tuple)
    and not outcome[2] & {"W_SFORM_QFORM", "W_NAN", FOUR, FEW}
    and "nifti2" not in name
    and ".img" not in name
    and name not in ("reader_js/air2.hdr.gz", "synthetic/actually_gz.nii")
]


def outcome_of(path: Path) -> str | tuple[int, str, set[str]]:
    try:
        scan = read(Source(str(path)), RULES)
    except InputError as error:
        return error.code
    codes = {finding.code for finding in scan.findings}
    return len(scan.volumes), str(scan.volumes[0].array.dtype), codes


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_of_every_hostile_file(scans, name):
    assert outcome_of(scans / "nasty_nifti" / name) == OUTCOMES[name]


def test_no_hostile_file_is_left_out(scans):
    root = scans / "nasty_nifti"
    files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    others = {".mha", ".mhd", ".nrrd", ".zraw"}  # test_itk.py
    assert {name for name in files if Path(name).suffix not in others} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_peek_promises_what_read_gives(scans, name):
    source = Source(str(scans / "nasty_nifti" / name))
    expected = OUTCOMES[name]
    if isinstance(expected, str):  # damage inside a compressed stream shows itself to a reader only
        hidden = name in ("synthetic/crc_bad.nii.gz", "synthetic/trunc.nii.gz")
        with contextlib.nullcontext() if hidden else pytest.raises(InputError, match=expected):
            peek(source, RULES)
        return
    preview, scan = peek(source, RULES), read(source, RULES)
    assert preview.geometry == scan.geometry
    assert preview.channels == len(scan.volumes)
    assert preview.dtype == str(scan.volumes[0].array.dtype)
    assert preview.decoded_bytes == sum(volume.array.nbytes for volume in scan.volumes)
    assert preview.file_bytes == sum(file.size for file in scan.identity)


@pytest.mark.parametrize("name", ITK_READS)
def test_geometry_and_voxels_agree_with_simpleitk(scans, name):
    path = scans / "nasty_nifti" / name
    scan, image = read(Source(str(path)), RULES), sitk.ReadImage(str(path))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    assert_same_voxels(scan, sitk.GetArrayFromImage(image)[None])


@pytest.mark.parametrize(
    "name", [name for name, outcome in OUTCOMES.items() if isinstance(outcome, tuple)]
)
def test_voxels_agree_with_nibabel(scans, name):
    path = scans / "nasty_nifti" / name
    scan = read(Source(str(path)), RULES)
    contents = path.read_bytes()
    if contents[:2] == b"\x1f\x8b" and path.suffix != ".gz":  # nibabel trusts the name
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(contents))
    elif contents[:2] != b"\x1f\x8b" and path.suffix == ".gz":
        image = nibabel.Nifti1Image.from_bytes(contents)
    else:
        image = nibabel.load(path)
    with np.errstate(invalid="ignore"):
        expected = np.asarray(image.dataobj)
    assert_same_voxels(scan, expected.reshape(*expected.shape[:2], *scan_tail(scan)).T)


def scan_tail(scan: Scan) -> tuple[int, int]:
    return scan.geometry.shape[0], len(scan.volumes)


def itk_geometry(image: sitk.Image) -> Geometry:
    z, y, x = reversed(image.GetSize())
    return Geometry((z, y, x), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


@pytest.mark.parametrize(
    ("name", "codes"),
    [("stroke_mr/T1.nii.gz", [OBLIQUE]), ("totalseg/example_ct.nii.gz", [])],
)
def test_real_scans_agree_with_simpleitk(scans, name, codes):
    scan, image = read(Source(str(scans / name)), RULES), sitk.ReadImage(str(scans / name))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    np.testing.assert_array_equal(scan.volumes[0].array, sitk.GetArrayFromImage(image))
    assert [finding.code for finding in scan.findings] == codes


def test_not_finite_voxels_are_kept_and_counted(scans):
    path = scans / "nasty_nifti/synthetic/nan_inf.nii.gz"
    scan = read(Source(str(path)), RULES)
    expected = nibabel.load(path).get_fdata().T
    finding = next(item for item in scan.findings if item.code == "W_NAN")
    assert finding.values == {"nan": np.isnan(expected).sum(), "infinite": np.isinf(expected).sum()}
    np.testing.assert_array_equal(scan.volumes[0].array, expected)


def test_both_affines_are_named_in_mm(scans):
    path = scans / "nasty_nifti/synthetic/sform_ne_qform.nii.gz"
    header = nibabel.load(path).header
    last = np.array([*header.get_data_shape(), 2])[:3] - 1
    apart = np.linalg.norm((header.get_sform() - header.get_qform()) @ [*last, 1])
    finding = read(Source(str(path)), RULES).findings[0]
    assert finding.values["largest_mm"] == pytest.approx(apart, rel=1e-5)
    assert f"{apart:.4g} mm" in finding.message
