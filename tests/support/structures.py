"""A CT series with structures drawn on it: segmentations by highdicom, RTSTRUCT by pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.sr.coding import Code
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from gpuprep.values.case import Source
from support.dicom_series import dataset

SHAPE = (6, 20, 24)  # z, y, x
SPACING = (2.5, 0.8, 0.5)
ORIGIN = (-10.0, 5.0, 40.0)  # x, y, z
STUDY, SERIES, FRAME = "1.2.3", "1.2.3.4", "1.2.3.9"


def write_image(folder: Path, series: str = SERIES, study: str = STUDY) -> list[Dataset]:
    """Slices of zeros but one bright voxel each; their datasets."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for z in range(SHAPE[0]):
        pixels = np.zeros(SHAPE[1:], "<u2")
        pixels[z, z] = 100
        one = dataset(
            SeriesInstanceUID=series,
            StudyInstanceUID=study,
            FrameOfReferenceUID=FRAME,
            Rows=SHAPE[1],
            Columns=SHAPE[2],
            PixelSpacing=[SPACING[1], SPACING[2]],
            SliceThickness=SPACING[0],
            ImagePositionPatient=[ORIGIN[0], ORIGIN[1], ORIGIN[2] + z * SPACING[0]],
            InstanceNumber=z + 1,
            PixelData=pixels.tobytes(),
            PatientID="p",
            PatientName="p^",
            PatientBirthDate="",
            PatientSex="",
            StudyDate="",
            StudyTime="",
            StudyID="",
            AccessionNumber="",
            ReferringPhysicianName="",
            SeriesNumber=1,
            PositionReferenceIndicator="",
        )
        one.save_as(folder / f"{z}.dcm", enforce_file_format=True)
        found.append(dcmread(folder / f"{z}.dcm"))
    return found


def write_segmentation(
    path: Path,
    images: Sequence[Dataset],
    masks: NDArray[Any],
    names: Sequence[str],
    kind: str = "BINARY",
    **more: Any,
) -> Path:
    """A DICOM SEG of masks ``(z, y, x, structure)``, or of numbers ``(z, y, x)``, made by highdicom."""
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=Code("123037004", "SCT", "Anatomical Structure"),
            segmented_property_type=Code("10200004", "SCT", "Liver"),
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, start=1)
    ]
    made = hd.seg.Segmentation(
        source_images=images,
        pixel_array=masks.copy(),  # which it may change
        segmentation_type=kind,
        segment_descriptions=described,
        series_instance_uid=hd.UID(),
        series_number=9,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path)
    return path


Contour = NDArray[np.float64]


def write_contours(
    path: Path, rois: dict[str, list[Contour]], series: str = SERIES, kind: str = "CLOSED_PLANAR"
) -> Path:
    """An RTSTRUCT whose contours are LPS mm ``(n, 3)``."""
    one = Dataset()
    plain = dataset("1.2.840.10008.5.1.4.1.1.481.3")
    one.file_meta = plain.file_meta
    one.SOPClassUID, one.SOPInstanceUID = plain.SOPClassUID, plain.SOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, "1.2.3.77"
    one.Modality, one.StructureSetLabel = "RTSTRUCT", "plan"
    frame, study, image = Dataset(), Dataset(), Dataset()
    image.SeriesInstanceUID = series
    study.RTReferencedSeriesSequence = [image]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = FRAME, [study]
    one.ReferencedFrameOfReferenceSequence = [frame]
    listed, drawn = [], []
    for number, (name, contours) in enumerate(rois.items()):
        roi, held = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = 10 * number, name
        held.ReferencedROINumber, held.ContourSequence = 10 * number, []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{value:.9g}" for value in np.ravel(points)]
            held.ContourSequence.append(contour)
        listed.append(roi)
        drawn.append(held)
    one.StructureSetROISequence, one.ROIContourSequence = listed, drawn
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)
    return path


def circle(radius: float, centre: tuple[float, float], height: float, points: int = 720) -> Contour:
    """A circle in mm around ``x, y`` in the plane at ``height``."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y = centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)
    return np.stack([x, y, np.full(points, height)], axis=1)


def two_masks() -> np.ndarray:
    """Of two structures, ``z, y, x, structure``; the first has a hole of one voxel."""
    found = np.zeros((*SHAPE, 2), np.uint8)
    found[1:3, 3:9, 4:12, 0] = 1
    found[2, 5, 6, 0] = 0
    found[3:5, 8:15, 10:20, 1] = 1
    return found


def image_of(folder: Path) -> Source:
    return Source(str(folder), tuple(str(file) for file in sorted(folder.iterdir())))


def numbered(masks: np.ndarray) -> np.ndarray:
    return (masks * np.arange(1, masks.shape[-1] + 1, dtype=np.uint8)).max(-1)
