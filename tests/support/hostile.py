"""For every code that readers raise, the smallest input that has it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image

from support.dicom_series import dataset, enhanced, write_series

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]
Maker = Callable[[Path], Path]


def nifti(
    path: Path,
    array: Any = None,
    affine: Any = None,
    sform: int = 1,
    qform: int = 0,
    patches: tuple[tuple[str, int, tuple[Any, ...]], ...] = (),
) -> Path:
    """A NIfTI-1 file of 5×6×7 voxels; ``patches`` are formats, places and values of raw header fields."""
    voxels = np.arange(210, dtype=np.int16).reshape(7, 6, 5) if array is None else array
    placed = np.diag([-2, -2, 3, 1.0]) if affine is None else affine
    image = nibabel.Nifti1Image(voxels, placed)
    image.set_sform(placed if sform else None, sform)
    image.set_qform(placed if qform else None, qform)
    raw = bytearray(image.to_bytes())
    for layout, at, values in patches:
        struct.pack_into(layout, raw, at, *values)
    path.write_bytes(bytes(raw))
    return path


def cut(path: Path, count: int) -> Path:
    path.write_bytes(path.read_bytes()[:-count])
    return path


def leaning(cosine: float) -> np.ndarray:
    affine = np.diag([-2, -2, 3, 1.0])
    affine[1, 2] = cosine * 3
    return affine


def shifted_qform(path: Path) -> Path:
    nifti(path, qform=1)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<f", raw, 268, 1.0)  # qoffset_x
    path.write_bytes(bytes(raw))
    return path


def series(**tags: Any) -> Maker:
    heights = tags.pop("heights", HEIGHTS)
    return lambda folder: write_series(folder / "s", heights, **tags)


def meta(
    path: Path, size: str = "5 6 7", matrix: str = "1 0 0 0 1 0 0 0 1", file: str = "LOCAL"
) -> Path:
    head = f"NDims = 3\nDimSize = {size}\nTransformMatrix = {matrix}\nElementSpacing = 1 1 2\n"
    head += f"ElementType = MET_UCHAR\nElementDataFile = {file}\n"
    path.write_bytes(head.encode() + bytes(range(210)))
    return path


def unplaced_nrrd(folder: Path) -> Path:
    head = b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 5 6 7\nspacings: 1 1 2\nencoding: raw\n\n"
    (folder / "a.nrrd").write_bytes(head + bytes(range(210)))
    return folder / "a.nrrd"


def not_finite() -> np.ndarray:
    voxels = np.ones((7, 6, 5), np.float32)
    voxels[1, 2, 3] = np.nan
    return voxels


def coloured(folder: Path) -> Path:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(np.stack([pixels] * 3, -1)).save(folder / "a.png")
    return folder / "a.png"


def two_series(folder: Path) -> Path:
    write_series(folder / "s", HEIGHTS)
    for n in range(2):
        one = dataset(SeriesInstanceUID="1.2.3.5", ImagePositionPatient=[0, 0, 2 * n])
        one.save_as(folder / f"s/z{n}.dcm", enforce_file_format=True)
    return folder / "s"


def misnamed(folder: Path) -> Path:
    """Slices in explicit VR that call themselves implicit."""
    for path in write_series(folder / "s", HEIGHTS).iterdir():
        told, named = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"
        path.write_bytes(path.read_bytes().replace(told, named, 1))
    return folder / "s"


def bare_sidecar(folder: Path) -> Path:
    (folder / "a.json").write_text('{"TracerName": "FDG", "Units": "Bq/mL"}')
    return nifti(folder / "a.nii")


def contours(*heights: float) -> Maker:
    """Circles of two structures at these slices, with the series they were drawn on."""
    from support.structures import ORIGIN, SPACING, circle, write_contours, write_image

    def make(folder: Path) -> Path:
        write_image(folder / "ct")
        drawn = [circle(3, (-4, 13), ORIGIN[2] + z * SPACING[0]) for z in heights]
        return write_contours(folder / "rt.dcm", {f"roi {z}": [one] for z, one in enumerate(drawn)})

    return make


def segmentation(kind: str, *, cut: bool = False) -> Maker:
    """A segmentation of two slices; one of them lies beyond the image if it is ``cut``."""
    from support.structures import SHAPE, write_image, write_segmentation

    def make(folder: Path) -> Path:
        images = write_image(folder / "ct")
        masks = np.zeros((*SHAPE, 1), np.uint8)
        masks[:2, 2:5, 2:5] = 1
        if cut:
            (folder / "ct" / "0.dcm").unlink()
        return write_segmentation(folder / "s.dcm", images, masks, ["A"], kind)

    return make


MAKERS: dict[str, list[Maker]] = {
    "E_TRUNCATED": [
        lambda folder: cut(nifti(folder / "a.nii"), 9),
        series(PixelData=bytes(30)),
    ],
    "E_UNREADABLE": [
        lambda folder: meta(folder / "a.mha", size="four 1 1"),
        series(RescaleSlope=0, RescaleIntercept=1),
    ],
    "E_MISSING": [lambda folder: folder / "missing.nii"],
    "E_LIMIT": [lambda folder: meta(folder / "a.mha", size="70000 1 1")],
    "E_UNSAFE_PATH": [lambda folder: meta(folder / "a.mhd", file="../x.raw")],
    "E_NO_GEOMETRY": [
        lambda folder: nifti(folder / "a.nii", patches=(("<f", 88, (0.0,)),)),
        lambda folder: nifti(
            folder / "a.nii", sform=0, qform=1, patches=(("<f", 256, (1.5,)),)
        ),
        series(heights=[0.0], SliceThickness=None),
    ],
    "E_SHEAR": [
        lambda folder: nifti(folder / "a.nii", affine=leaning(0.3)),
        lambda folder: nifti(folder / "a.nii", affine=leaning(0.001)),
    ],
    "E_MIXED_SERIES": [
        two_series,
        series(
            heights=[*HEIGHTS, 10.0], Rows=lambda n: 4 if n else 2, PixelData=bytes(40)
        ),
        series(ImagePositionPatient=lambda n: [0, 0, n // 2], heights=[0.0] * 6),
    ],
    "E_MIXED_RESCALE": [
        series(RescaleSlope=lambda n: n + 1, RescaleIntercept=0),
        lambda folder: enhanced(folder / "e.dcm", HEIGHTS, [(n + 1, 0) for n in range(5)]),
    ],
    "E_TILT": [series(ImagePositionPatient=lambda n: [0, n / 4, 2 * n])],
    "E_SLICE_GAP": [series(heights=[0.0, 2.0, 4.0, 8.0, 10.0])],
    "E_SLICE_DUP": [series(heights=[0.0, 2.0, 2.0, 4.0, 6.0, 8.0], PixelData=bytes(40))],
    "E_MOSAIC": [series(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])],
    "E_PIXEL_TYPE": [
        series(BitsStored=8, HighBit=7, PixelData=np.full(20, 0x0101, "<u2").tobytes()),
    ],
    "E_COLOURS": [coloured],
    "E_LABEL_OVERLAP": [contours(1, 1)],
    "W_CONTOURS": [contours(1, 2.4), contours(1, 9)],
    "W_LABEL_FRACTIONAL": [segmentation("FRACTIONAL")],
    "W_LABEL_LOST": [segmentation("BINARY", cut=True)],
    "E_ITK": [lambda folder: nifti(folder / "a.nii", not_finite())],
    "E_NOT_VOLUME": [lambda folder: nifti(folder / "a.nii", np.zeros((2, 2, 2, 2, 2), np.uint8))],
    "W_SFORM_QFORM": [
        lambda folder: shifted_qform(folder / "a.nii"),
        lambda folder: nifti(folder / "a.nii", qform=1, patches=(("<f", 256, (1.5,)),)),
    ],
    "W_OBLIQUE": [lambda folder: nifti(folder / "a.nii", affine=turned())],
    "W_SPACING_OUTLIER": [
        lambda folder: nifti(folder / "a.nii", affine=np.diag([-2, -2, 300, 1.0]))
    ],
    "W_IDENTITY_AFFINE": [
        lambda folder: nifti(folder / "a.nii", affine=np.diag([-1, -1, 1, 1.0]))
    ],
    "W_NO_AFFINE": [lambda folder: nifti(folder / "a.nii", sform=0), unplaced_nrrd],
    "W_GEOMETRY_TOLERANCE": [
        lambda folder: nifti(folder / "a.nii", affine=leaning(0.0003)),
        series(heights=[0.0, 0.7, 1.3, 2.0, 2.7]),
    ],
    "W_NAN": [lambda folder: nifti(folder / "a.nii", not_finite())],
    "W_PADDING": [series(PixelPaddingValue=3)],
    "E_SUV": [series(Modality="PT", Units="BQML"), bare_sidecar],
    "W_SUV": [series(Modality="PT", Units="GML")],
    "W_4D": [lambda folder: nifti(folder / "a.nii", np.zeros((5, 6, 7, 2), np.uint8))],
    "W_FEW_SLICES": [lambda folder: nifti(folder / "a.nii", np.zeros((5, 6, 2), np.uint8))],
    "W_SHORT_VOLUME": [series()],  # of which a sister is told where it is read
    "W_SYNTAX": [misnamed],
    "W_FLAT": [
        lambda folder: nifti(folder / "a.nii", np.zeros((5, 6), np.uint8)),
    ],
    "W_MONOCHROME1": [series(PhotometricInterpretation="MONOCHROME1")],
    "W_LOSSY": [series(LossyImageCompression="01")],
    "W_PRECISION": [
        lambda folder: nifti(folder / "a.nii", np.full((5, 6, 7), 2.0**40 + 0.5, np.float64))
    ],
    "W_UNITS": [lambda folder: nifti(folder / "a.nii", patches=(("<b", 123, (1,)),))],
}  # fmt: skip
"""The first one of each code goes on under every policy that the code takes."""

ALWAYS_FAIL: dict[str, list[Maker]] = {
    "E_NO_GEOMETRY": [
        series(ImagePositionPatient=None),
        lambda folder: meta(folder / "a.mha", matrix="1 0 0 1 0 0 0 0 1"),
    ],
    "E_PIXEL_TYPE": [series(PhotometricInterpretation="PALETTE COLOR")],
}
"""Inputs of codes that can be accepted which nothing accepts, as the rows of these codes say."""


def turned() -> np.ndarray:
    affine = np.diag([-2, -2, 3, 1.0])
    affine[:2, :2] = [[-2 * 0.8, 2 * 0.6], [-2 * 0.6, -2 * 0.8]]
    return affine
