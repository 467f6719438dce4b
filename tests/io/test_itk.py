"""MetaImage and NRRD: our header parser and SimpleITK must see the same file, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry

RULES = ReadRules()


NONE: set[str] = set()


OUTCOMES: dict[str, str | tuple[int, str, set[str]]] = {
    "nasty_nifti/synthetic/comp.mha": (1, "int16", NONE),
    "nasty_nifti/synthetic/comp.nrrd": (1, "int16", NONE),
    "nasty_nifti/synthetic/n.mha": (1, "float32", {"W_NAN", "W_IDENTITY_AFFINE", "W_FEW_SLICES"}),
    "nasty_nifti/synthetic/n.nrrd": (1, "float32", {"W_NAN", "W_IDENTITY_AFFINE", "W_FEW_SLICES"}),
    "nasty_nifti/synthetic/pair.mhd": "E_UNREADABLE",  # its pair.raw was never there
    "nasty_nifti/synthetic/pairz.mhd": (1, "int16", NONE),
    "nasty_nifti/synthetic/trunc.mha": "E_TRUNCATED",
    "nasty_nifti/synthetic/trunc.nrrd": "E_TRUNCATED",
    "nasty_nifti/synthetic/trunc_u.mha": "E_TRUNCATED",
    "nasty_nifti/synthetic/u.mha": (1, "int16", NONE),
    "nasty_nifti/synthetic/vec2.mha": (2, "int16", {"W_4D"}),
    "nasty_nifti/synthetic/vec2.nrrd": (2, "int16", {"W_4D"}),
    "pyradiomics/brain1_image.nrrd": (1, "int16", NONE),
    "pyradiomics/brain1_label.nrrd": (1, "int32", NONE),
    "pyradiomics/lung1_image.nrrd": (1, "int16", NONE),
    "elastix_lung_ct_mha/3DCT_lung_baseline_small.mha": (1, "int16", NONE),
    "nasty_dicom/ge_pad3024_ct3slice/liver_seg.nrrd": (1, "int16", {"W_FEW_SLICES"}),
}


def itk_geometry(image: sitk.Image) -> Geometry:
    z, y, x = reversed(image.GetSize()[:3])
    return Geometry((z, y, x), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def load(path: Path, rules: ReadRules = RULES) -> Scan:
    return read(Source(str(path)), rules)


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_of_every_file(scans, name):
    expected = OUTCOMES[name]
    if isinstance(expected, str):
        with pytest.raises(InputError) as error:
            load(scans / name)
        assert error.value.code == expected
        return
    scan = load(scans / name)
    codes = {finding.code for finding in scan.findings}
    assert (len(scan.volumes), str(scan.volumes[0].array.dtype), codes) == expected
    image = sitk.ReadImage(str(scans / name))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    array = sitk.GetArrayFromImage(image)
    array = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    np.testing.assert_array_equal([volume.array for volume in scan.volumes], array)
    preview = peek(Source(str(scans / name)), RULES)
    assert preview.geometry == scan.geometry
    assert (preview.channels, preview.dtype) == expected[:2]
    assert preview.file_bytes == sum(file.size for file in scan.identity)


def rotated(shape=(4, 5, 6)) -> sitk.Image:
    """A small oblique image with every voxel different."""
    image = sitk.GetImageFromArray(np.arange(np.prod(shape), dtype=np.int16).reshape(shape))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-11.5, 20.25, 3))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.9)
    image.SetDirection(turn.GetMatrix())
    return image


@pytest.mark.parametrize("suffix", ["mha", "mhd", "nrrd", "nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64])
def test_what_simpleitk_writes_is_read_the_same(tmp_path, suffix, compressed, dtype):
    image = sitk.GetImageFromArray(sitk.GetArrayFromImage(rotated()).astype(dtype))
    image.CopyInformation(rotated())
    path = tmp_path / f"体积 ü.{suffix}"
    sitk.WriteImage(image, str(path), useCompression=compressed)
    scan = load(path)
    np.testing.assert_array_equal(scan.volumes[0].array, sitk.GetArrayFromImage(image))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    assert scan.header["stored_dtype"] == np.dtype(dtype).name
    assert len(scan.identity) == (2 if suffix in ("mhd", "nhdr") else 1)


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_two_and_four_dimensions(tmp_path, suffix):
    flat = sitk.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    flat.SetSpacing((0.5, 0.25))
    sitk.WriteImage(flat, str(tmp_path / f"2d.{suffix}"))
    scan = load(tmp_path / f"2d.{suffix}")
    assert scan.geometry.shape == (1, 4, 5)
    assert scan.geometry.spacing == (0.5, 0.25, 1.0)
    unplaced = {"W_NO_AFFINE"} if suffix == "nrrd" else NONE  # ITK names no space for these
    assert {finding.code for finding in scan.findings} == {"W_FEW_SLICES", "W_FLAT"} | unplaced
    array = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((1, 2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / f"4d.{suffix}"))
    scan = load(tmp_path / f"4d.{suffix}")
    assert scan.geometry.spacing == (1, 2, 3)
    np.testing.assert_array_equal([volume.array for volume in scan.volumes], array)


@pytest.mark.parametrize(
    "space", ["right-anterior-superior", "left-anterior-superior", "LPS", "RAS"]
)
def test_nrrd_spaces_become_lps(tmp_path, space):
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 2 3 4\nencoding: raw\n"
        "endian: little\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n\n"
    )
    path = tmp_path / "x.nrrd"
    path.write_bytes(header.encode() + np.arange(24, dtype="<i2").tobytes())
    assert load(path).geometry.distance(itk_geometry(sitk.ReadImage(str(path)))) <= 1e-9


def nrrd(path: Path, contents: bytes = bytes(48), encoding: str = "raw", **fields: str) -> Path:
    lines = {"type": "short", "dimension": "3", "sizes": "2 3 4", "endian": "little", **fields}
    text = "".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in lines.items())
    path.write_bytes(f"NRRD0004\n{text}encoding: {encoding}\n\n".encode() + contents)
    return path
