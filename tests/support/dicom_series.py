"""DICOM files as small as they can be, written with pydicom: slices, series, an enhanced file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid


def dataset(sop_class: str = CTImageStorage, **tags: Any) -> Dataset:
    """A slice of 4×5 pixels that every reader takes; ``tags`` come on top, None removes one."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = sop_class
    one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    one.SOPClassUID, one.SOPInstanceUID = sop_class, one.file_meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    one.Modality, one.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.Rows, one.Columns, one.SamplesPerPixel = 4, 5, 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 0
    one.ImageOrientationPatient, one.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.25]
    one.ImagePositionPatient, one.SliceThickness = [0, 0, 0], 9
    one.PixelData = np.arange(20, dtype="<u2").tobytes()
    for name, value in tags.items():
        if value is None:
            delattr(one, name)
        else:
            setattr(one, name, value)
    return one


def write_series(folder: Path, heights: list[float], **tags: Any) -> Path:
    """Slices at ``heights``, their pixels starting at 100 times their number; written backwards."""
    folder.mkdir(exist_ok=True)
    for number, height in reversed(list(enumerate(heights))):
        pixels = (np.arange(20) + 100 * number).astype("<u2").tobytes()
        own = {name: value(number) if callable(value) else value for name, value in tags.items()}
        fields = {
            "ImagePositionPatient": [1, 2, height], "InstanceNumber": number + 1,
            "PixelData": pixels, **own,
        }  # fmt: skip
        dataset(**fields).save_as(folder / f"{99 - number}.dcm", enforce_file_format=True)
    return folder


def enhanced(
    path: Path,
    heights: list[float],
    lines: list[tuple[float, float]] | None = None,
    shared_line: tuple[float, float] | None = None,
    top: dict[str, Any] | None = None,
) -> Path:
    """An enhanced multi-frame file, its frames numbered 0, 100, 200 … plus the pixel index."""
    one = dataset(
        EnhancedMRImageStorage, Modality="MR", ImagePositionPatient=None, PixelSpacing=None,
        ImageOrientationPatient=None, SliceThickness=None, ImageType=["ORIGINAL", "PRIMARY", "M", "M"],
    )  # fmt: skip

    def macro(**tags: Any) -> list[Dataset]:
        item = Dataset()
        for name, value in tags.items():
            setattr(item, name, value)
        return [item]

    shared = Dataset()
    shared.PixelMeasuresSequence = macro(PixelSpacing=[0.5, 0.25], SliceThickness=9)
    shared.PlaneOrientationSequence = macro(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    if shared_line:
        slope, intercept = shared_line
        shared.PixelValueTransformationSequence = macro(
            RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US"
        )
    frames = []
    for number, height in enumerate(heights):
        frame = Dataset()
        frame.PlanePositionSequence = macro(ImagePositionPatient=[1, 2, height])
        if lines:
            frame.PixelValueTransformationSequence = macro(
                RescaleSlope=lines[number][0], RescaleIntercept=lines[number][1], RescaleType="US"
            )
        frames.append(frame)
    one.SharedFunctionalGroupsSequence = [shared]
    one.PerFrameFunctionalGroupsSequence = frames
    one.NumberOfFrames = len(heights)
    pixels = np.arange(20)[None] + 100 * np.arange(len(heights))[:, None]
    one.PixelData = pixels.astype("<u2").tobytes()
    for name, value in (top or {}).items():
        setattr(one, name, value)
    one.save_as(path, enforce_file_format=True)
    return path
