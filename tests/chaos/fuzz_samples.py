"""Small valid files of every format that is read, made by foreign writers: what the fuzzer mutates."""

from __future__ import annotations

import io
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)
from support.mosaics import mosaic

from gpuprep.values.case import Source

SHAPE = (6, 7, 8)
ORIENTATION = [1, 0, 0, 0, 1, 0]


@dataclass(frozen=True)
class Sample:
    """One readable thing.

    Attributes:
        files: Contents by name, all in one folder.
        source: Which of them the reader is pointed at; empty for the folder.
        voxels_at: Per file with voxels, where they begin.
        sealed: A checksum covers everything from there on.
        drawn_on: The folder of the image that a label was drawn on.
        volume, spacing: As in ``Source``.
    """

    name: str
    files: dict[str, bytes]
    source: str
    voxels_at: dict[str, int]
    sealed: bool
    drawn_on: str = ""
    volume: str = ""
    spacing: tuple[float, ...] = ()

    def source_in(self, folder: Path) -> Source:
        """What is read where its files lie in a folder."""
        image = Source(str(folder / self.drawn_on)) if self.drawn_on else None
        return Source(
            str(folder / self.source), volume=self.volume, spacing=self.spacing, drawn_on=image
        )

    def with_file(self, name: str, content: bytes) -> Sample:
        """The sample with other contents of one file."""
        return replace(self, files={**self.files, name: content})

    def any_file(self, rng: random.Random) -> str:
        """The name of a file; of a label and its image mostly that of the label."""
        if self.drawn_on and rng.random() < 0.8:
            return self.source
        return rng.choice(list(self.files))

    def is_voxel(self, name: str, at: int) -> bool:
        """Whether a byte of a file is one of its voxels', or behind them."""
        return name in self.voxels_at and at >= self.voxels_at[name]

    def is_sealed(self, name: str, at: int) -> bool:
        """Whether a checksum covers a byte of a file."""
        return self.sealed and self.is_voxel(name, at)

    @property
    def is_dicom(self) -> bool:
        return self.name.startswith("dicom")

    @property
    def is_picture(self) -> bool:
        return self.name.startswith("picture")

    @property
    def is_nifti(self) -> bool:
        return self.name.startswith("nifti")


def make_samples() -> list[Sample]:
    """One sample of each kind; their bytes are the same in every process but for DICOM UIDs."""
    return [*_nifti(), *_text(), *_through_itk(), *_dicom()]


def voxel_planes(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """The voxels of most samples, int16."""
    return np.random.default_rng(7).integers(-1000, 1000, shape, np.int16)


def written(write: Callable[[Path], object]) -> dict[str, bytes]:
    """What is written into a folder: the contents of each file by its name there."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        files = sorted(path for path in Path(name).rglob("*") if path.is_file())
        return {str(path.relative_to(name)): path.read_bytes() for path in files}


def _nifti() -> Iterator[Sample]:
    voxels, affine = voxel_planes().T, np.diag([-1.0, -2.0, 3.0, 1.0])
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        image, version = kind(voxels, affine), 1 if kind is nibabel.Nifti1Image else 2
        start = 352 if version == 1 else 544
        for suffix, sealed in ((".nii", False), (".nii.gz", True)):
            name = "v" + suffix
            files = written(lambda folder, i=image, n=name: nibabel.save(i, folder / n))
            yield Sample(
                f"nifti{version}{suffix}", files, name, {name: 0 if sealed else start}, sealed
            )
    scaled = nibabel.Nifti1Image(voxels, affine)
    scaled.header.set_slope_inter(0.5, 3)
    files = written(lambda folder: nibabel.save(scaled, folder / "v.nii.gz"))
    yield Sample("nifti1 scaled .nii.gz", files, "v.nii.gz", {"v.nii.gz": 0}, True)
    for name, image in (
        ("big-endian", nibabel.Nifti1Image(voxels, affine, nibabel.Nifti1Header(endianness=">"))),
        ("4-D", nibabel.Nifti1Image(np.stack([voxels, voxels + 1], -1), affine)),
    ):
        files = written(lambda folder, i=image: nibabel.save(i, folder / "v.nii"))
        yield Sample(f"nifti1 {name}", files, "v.nii", {"v.nii": 352}, False)
    pair = nibabel.Nifti1Pair(voxels, affine)
    files = written(lambda folder: nibabel.save(pair, folder / "v.hdr"))
    yield Sample("nifti1 .hdr+.img", files, "v.hdr", {"v.img": 0}, False)


def _text() -> Iterator[Sample]:
    image = sitk.GetImageFromArray(voxel_planes())
    image.SetSpacing((1, 2, 3))
    for name, sealed in (
        ("v.mha", False), ("v.mha", True), ("v.mhd", False), ("v.mhd", True),
        ("v.nrrd", False), ("v.nrrd", True), ("v.nhdr", False), ("v.nhdr", True),
    ):  # fmt: skip
        files = written(
            lambda folder, n=name, s=sealed: sitk.WriteImage(image, folder / n, useCompression=s)
        )
        beside = [other for other in files if other != name]
        at = {beside[0]: 0} if beside else {name: _end_of_header(files[name])}
        yield Sample(f"{name[1:]}{' deflated' if sealed else ''}", files, name, at, sealed)


def _through_itk() -> Iterator[Sample]:
    """An encoding that no writer at hand makes: SimpleITK reads its voxels."""
    header = (
        b"NRRD0004\ntype: short\ndimension: 3\nsizes: 8 7 6\nendian: little\nspace: LPS\n"
        b"space directions: (1,0,0) (0,2,0) (0,0,3)\nencoding: hex\n\n"
    )
    files = {"v.nrrd": header + voxel_planes().tobytes().hex().encode()}
    yield Sample(".nrrd hex", files, "v.nrrd", {"v.nrrd": len(header)}, False)


def _end_of_header(content: bytes) -> int:
    found = re.search(rb"\n\n|ElementDataFile = LOCAL\n", content)
    assert found is not None
    return found.end()


def _dicom() -> Iterator[Sample]:
    planes = voxel_planes()
    yield dicom_sample("dicom series", [_slice(plane, z) for z, plane in enumerate(planes)])
    packed = [_slice(plane, z) for z, plane in enumerate(voxel_planes((6, 32, 32)))]
    for one in packed:  # GDCM cannot decode smaller ones
        one.compress(RLELossless)
    yield dicom_sample("dicom series RLE", packed)
    yield dicom_sample("dicom single", [_slice(planes[0], 0)])
    yield dicom_sample("dicom enhanced", [_enhanced(planes)])
    yield dicom_sample("dicom mosaic", [mosaic()])
    for compressor, side in (("JPEG", 8), ("JPEG2000", 32)):
        yield dicom_sample(f"dicom {compressor}", [_compressed(compressor, side)])


def dicom_sample(name: str, datasets: list[Dataset]) -> Sample:
    """Files of one series, a data set each."""

    def write(folder: Path) -> None:
        for number, one in enumerate(datasets):
            one.save_as(folder / f"{number}.dcm", enforce_file_format=True)

    files = written(write)
    return Sample(name, files, "", {file: pixel_start(files[file]) for file in files}, False)


def pixel_start(content: bytes) -> int:
    """Where the pixels begin; the end of a deflated file, in which nobody can tell."""
    found = content.rfind(b"\xe0\x7f\x10\x00")
    return len(content) if found < 0 else found + 12


def _compressed(compressor: str, side: int) -> Dataset:
    """A slice of ``side`` × ``side`` pixels that GDCM compressed without loss."""
    plane = voxel_planes((side, side)).astype(np.uint16) & 1023
    one = _slice(plane, 0)
    one.PixelRepresentation = 0

    def write(folder: Path) -> None:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / "0.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(plane))

    foreign = pydicom.dcmread(io.BytesIO(written(write)["0.dcm"]))
    one.file_meta.TransferSyntaxUID = foreign.file_meta.TransferSyntaxUID
    one.PixelData = foreign.PixelData
    one["PixelData"].is_undefined_length = True
    return one


def _slice(plane: np.ndarray, z: int, sop_class: str = CTImageStorage) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = sop_class
    one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(z)])
    one.SOPClassUID, one.SOPInstanceUID = sop_class, one.file_meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID, one.InstanceNumber = "1.2.3", "1.2.3.4", z + 1
    one.Modality, one.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.Rows, one.Columns, one.SamplesPerPixel = *plane.shape[-2:], 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.ImagePositionPatient, one.ImageOrientationPatient = [0, 0, 3 * z], ORIENTATION
    one.PixelSpacing, one.SliceThickness = [2, 1], 3
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelData = plane.tobytes()
    return one


def _enhanced(planes: np.ndarray) -> Dataset:
    one = _slice(planes, 0, EnhancedMRImageStorage)
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "RescaleSlope", "RescaleIntercept",
    ):  # fmt: skip
        delattr(one, keyword)
    one.Modality, one.NumberOfFrames = "MR", len(planes)
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[2, 1], SliceThickness=3)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=ORIENTATION)]
    one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=[0, 0, 3 * z])])
        for z in range(len(planes))
    ]
    return one


def _item(**tags: object) -> pydicom.Dataset:
    item = Dataset()
    for name, value in tags.items():
        setattr(item, name, value)
    return item
