"""Three volumes whose voxels are their own world coordinates, through every format and orientation.

If a voxel read back says x mm and the geometry says x mm, then axes, signs, spacing, origin and byte
layout are all right at once. SimpleITK and nibabel read the same files as witnesses.
"""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.geometry import Geometry

SHAPE, SPACING, ORIGIN = (7, 6, 5), (0.75, 1.5, 2.5), (-20.0, 31.0, 12.5)
STEP = 2.0**-8  # mm that one stored unit means
RULES = ReadRules()


def turned(x: float, y: float, z: float) -> tuple[float, ...]:
    return tuple(sitk.Euler3DTransform((0, 0, 0), x, y, z).GetMatrix())


ORIENTATIONS = {
    "LPS": (1.0, 0, 0, 0, 1, 0, 0, 0, 1),
    "RAS": (-1.0, 0, 0, 0, -1, 0, 0, 0, 1),
    "sagittal": (0.0, 0, 1, 1, 0, 0, 0, 1, 0),
    "coronal": (1.0, 0, 0, 0, 0, 1, 0, -1, 0),
    "oblique": turned(0.3, -0.2, 0.9),
    "slightly oblique": turned(0.02, 0.01, -0.015),
}
MIRRORED = {"left-handed": (0.0, 0, 1, 0, 1, 0, 1, 0, 0)}  # DICOM slices are always right-handed


def grid(name: str) -> Geometry:
    return Geometry(SHAPE, SPACING, ORIGIN, {**ORIENTATIONS, **MIRRORED}[name])


def ramp(geometry: Geometry, axis: int) -> np.ndarray:
    """Voxels that hold their coordinate on one LPS axis, in units of ``STEP``, as int16."""
    index = np.stack(np.indices(geometry.shape), -1)
    return np.rint(geometry.index_to_physical(index)[..., axis] / STEP).astype(np.int16)


def write_itk(path: Path, geometry: Geometry, voxels: np.ndarray) -> Source:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(path), useCompression=path.name.startswith("packed"))
    return Source(str(path))


def write_nibabel(path: Path, geometry: Geometry, voxels: np.ndarray) -> Source:
    kind = nibabel.Nifti2Image if path.name.startswith("two") else nibabel.Nifti1Image
    nibabel.save(kind(voxels.T, geometry.affine_ras), path)
    return Source(str(path))


def write_dicom(path: Path, geometry: Geometry, voxels: np.ndarray) -> Source:
    path.mkdir()
    series = generate_uid()
    matrix = geometry.matrix
    for z in np.random.default_rng(0).permutation(geometry.shape[0]):
        one = Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = CTImageStorage
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
        one.SeriesInstanceUID, one.Modality, one.ImageType = series, "CT", ["ORIGINAL", "PRIMARY"]
        one.Rows, one.Columns, one.SamplesPerPixel = *geometry.shape[1:], 1
        one.PhotometricInterpretation, one.PixelRepresentation = "MONOCHROME2", 0
        one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
        one.RescaleSlope, one.RescaleIntercept = 1, -32768
        one.PixelSpacing = [geometry.spacing[1], geometry.spacing[0]]
        one.ImageOrientationPatient = [
            pydicom.valuerep.format_number_as_ds(float(v) + 0.0) for v in matrix[:, :2].T.ravel()
        ]
        one.ImagePositionPatient = [
            pydicom.valuerep.format_number_as_ds(float(v))
            for v in geometry.index_to_physical([z, 0, 0])
        ]
        one.PixelData = (voxels[z].astype(np.int32) + 32768).astype("<u2").tobytes()
        one.save_as(path / f"{generate_uid()}", enforce_file_format=True)
    return Source(str(path))


WRITERS = {
    "x.nii": (write_nibabel, 1e-4),  # NIfTI-1 keeps its affine in float32
    "x.nii.gz": (write_itk, 1e-4),
    "two.nii.gz": (write_nibabel, 1e-9),
    "x.img": (write_nibabel, 1e-4),
    "x.mha": (write_itk, 1e-9),
    "packed.mha": (write_itk, 1e-9),
    "x.mhd": (write_itk, 1e-9),
    "x.nrrd": (write_itk, 1e-9),
    "packed.nhdr": (write_itk, 1e-9),
    "dicom": (write_dicom, 1e-9),
}
COMBINATIONS = [
    (name, orientation)
    for name in WRITERS
    for orientation in (ORIENTATIONS if name == "dicom" else {**ORIENTATIONS, **MIRRORED})
]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("name", "orientation"), COMBINATIONS)
def test_every_voxel_says_where_it_lies(tmp_path, name, orientation, axis):
    geometry = grid(orientation)
    write, tolerance = WRITERS[name]
    source = write(tmp_path / name, geometry, ramp(geometry, axis))
    scan = read(source, RULES)
    assert scan.geometry.distance(geometry) <= tolerance
    index = np.stack(np.indices(SHAPE), -1)
    there = scan.geometry.index_to_physical(index)[..., axis]
    np.testing.assert_allclose(scan.volumes[0].array * STEP, there, atol=STEP / 2 + tolerance)
    matrix = scan.geometry.matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("name", "orientation"), COMBINATIONS)
def test_simpleitk_and_nibabel_see_the_same(tmp_path, name, orientation):
    geometry = grid(orientation)
    source = WRITERS[name][0](tmp_path / name, geometry, ramp(geometry, 0))
    scan = read(source, RULES)
    for affine_ras, voxels in witnesses(Path(source.path)):
        other = Geometry.from_affine_ras(affine_ras, voxels.shape)
        assert scan.geometry.distance(other) <= 1e-5
        np.testing.assert_array_equal(scan.volumes[0].array, voxels)


def witnesses(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """RAS affine and voxels (z, y, x) from every foreign reader that knows the format."""
    seen = []
    if path.is_dir():
        image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path)))
        seen.append(from_itk(image))
    elif not path.name.startswith("two"):
        seen.append(from_itk(sitk.ReadImage(str(path))))
    if ".nii" in path.name or path.suffix == ".img":
        image = nibabel.load(path)
        seen.append((image.affine, np.asarray(image.dataobj).T))
    return seen


def from_itk(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine, sitk.GetArrayFromImage(image)
