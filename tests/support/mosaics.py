"""Siemens mosaics as small as they can be: tiles of known voxels, and the private tags that tell of them."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from support.dicom_series import dataset

SLICES, ROWS, COLUMNS = 7, 4, 5
SPACING, STEP = (0.5, 0.25), 3.0
ORIENTATIONS: dict[str, tuple[list[float], list[float]]] = {
    "axial": ([1, 0, 0], [0, 1, 0]),
    "sagittal": ([0, 1, 0], [0, 0, -1]),
    "coronal": ([1, 0, 0], [0, 0, -1]),
    "oblique": ([0.8, 0.6, 0], [-0.48, 0.64, 0.6]),
}

_KINDS = {"NumberOfImagesInMosaic": b"US", "AcquisitionMatrixText": b"SH"}


def voxels(seed: int = 0) -> np.ndarray:
    """Slices in the order of the tiles, ``z, y, x``."""
    return np.random.default_rng(seed).integers(0, 4000, (SLICES, ROWS, COLUMNS), np.uint16)


def csa(entries: dict[str, list[str]], *, newer: bool = True) -> bytes:
    """A CSA header, of either form, that holds these texts."""
    out = [b"SV10\4\3\2\1"] if newer else []
    out.append(struct.pack("<2I", len(entries), 77))
    first = 6  # items that every entry has room for
    for name, texts in entries.items():
        out.append(
            struct.pack(
                "<64si4s3i", name.encode(), len(texts), _KINDS.get(name, b"FD"), 4, first, 77
            )
        )
        for number in range(first):
            held = f"{texts[number]}\0".encode() if number < len(texts) else b""
            length = len(held)
            heads = (0, length, 77, 0) if newer else (length + first, 0, 77, 0)
            out += [struct.pack("<4i", *heads), held + bytes(-length % 4)]
    return b"".join(out)


def mosaic(
    orientation: str = "axial",
    *,
    along: int = 1,
    newer: bool = True,
    count_tag: bool = True,
    tiles: np.ndarray | None = None,
    entries: dict[str, list[str]] | None = None,
    **tags: Any,
) -> Dataset:
    """A mosaic whose slices go along (1) or against (-1) the product of row and column."""
    held = voxels() if tiles is None else tiles
    across = math.ceil(math.sqrt(len(held)))
    row, column = ORIENTATIONS[orientation]
    normal = along * np.cross(row, column)
    image = np.zeros((across * ROWS, across * COLUMNS), np.uint16)
    for number, tile in enumerate(held):
        top, left = number // across * ROWS, number % across * COLUMNS
        image[top : top + ROWS, left : left + COLUMNS] = tile
    told = {
        "AcquisitionMatrixText": [f"{ROWS}*{COLUMNS}"],
        "NumberOfImagesInMosaic": [str(len(held))],
        "SliceNormalVector": [f"{value:.8f}" for value in normal],
    }
    one = dataset(
        MRImageStorage, Modality="MR", ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"],
        Manufacturer="SIEMENS", PatientPosition="HFS",
        Rows=image.shape[0], Columns=image.shape[1], PixelData=image.tobytes(),
        ImageOrientationPatient=[*row, *column], ImagePositionPatient=[-7.5, 11.25, 20],
        PixelSpacing=list(SPACING), SpacingBetweenSlices=STEP, SliceThickness=2.5,
        SeriesDescription="mosaic", RepetitionTime=2000, EchoTime=30, SeriesNumber=1,
        **tags,
    )  # fmt: skip
    if count_tag:
        one.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        one.add_new(0x0019100A, "US", len(held))
    one.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    one.add_new(0x00291010, "OB", csa(told if entries is None else entries, newer=newer))
    return one


def write_mosaics(folder: Path, count: int, **options: Any) -> Path:
    """A time series: mosaic ``n`` has the voxels of seed ``n``."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        one = mosaic(tiles=voxels(number), InstanceNumber=number + 1, **options)
        one.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder
