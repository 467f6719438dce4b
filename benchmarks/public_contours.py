"""A planning system's RTSTRUCT on its series, and how far surfaces of voxels lie from contours.

dicompyler-core has the structure set, the dose and one of the 98 slices that it was drawn on. The structure
set names the others and their heights, so that a series of its grid can be written: the voxels of the other
slices are those of the one, which no contour asks for.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from gpuprep.io.dicom.drawn.contours import inside

Points = NDArray[np.float64]

_AT_ONCE = 256  # edges


@dataclass(frozen=True)
class Plan:
    """A series, a structure set, its contours by name and slice, and volumes that the planning system states.

    Attributes:
        contours: ``x, y`` in indices of the series, by structure and then by slice.
        millilitres: Of the whole structure, as the dose's histograms have it.
    """

    series: Path
    structures: Path
    contours: dict[str, dict[int, list[Points]]]
    millilitres: dict[str, float]


def write_plan(data: Path, target: Path) -> Plan:
    """The example of dicompyler-core as a series and a structure set in ``target``."""
    ct, structures, dose = (
        pydicom.dcmread(data / f"{name}.dcm") for name in ("ct.0", "rtss", "rtdose")
    )
    series = target / "ct"
    series.mkdir(parents=True)
    shutil.copy(data / "rtss.dcm", target)
    x, y, top = map(float, ct.ImagePositionPatient)
    step = float(ct.SliceThickness)
    heights = {
        contour.ContourImageSequence[0].ReferencedSOPInstanceUID: float(contour.ContourData[2])
        for each in structures.ROIContourSequence
        for contour in each.get("ContourSequence") or ()
    }
    for uid, height in heights.items():
        number = round((top - height) / step)
        ct.SOPInstanceUID = ct.file_meta.MediaStorageSOPInstanceUID = uid
        ct.InstanceNumber = number + 1
        ct.ImagePositionPatient = [x, y, round(top - number * step, 4)]
        ct.save_as(series / f"{number:03}.dcm")
    origin = np.array([x, y, top - (len(heights) - 1) * step])
    spacing = np.array([*map(float, ct.PixelSpacing[::-1]), step])
    names = {one.ROINumber: str(one.ROIName) for one in structures.StructureSetROISequence}
    contours: dict[str, dict[int, list[Points]]] = {}
    for each in structures.ROIContourSequence:
        for contour in each.get("ContourSequence") or ():
            index = (np.reshape(contour.ContourData, (-1, 3)).astype(float) - origin) / spacing
            slices = contours.setdefault(names[each.ReferencedROINumber], {})
            slices.setdefault(round(index[0, 2]), []).append(index[:, :2])
    volumes = {
        names[one.DVHReferencedROISequence[0].ReferencedROINumber]: float(max(one.DVHData[1::2]))
        for one in dose.DVHSequence
    }
    return Plan(series, target / "rtss.dcm", contours, volumes)


def surface_distances(mask: NDArray[np.bool_], contours: dict[int, list[Points]]) -> Points:
    """In voxels, from every face between a voxel inside and one outside to the nearest contour there."""
    found = []
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        across, down = (np.argwhere(np.diff(mask[z], axis=axis)) for axis in (1, 0))
        faces = np.concatenate([across + np.array((0, 0.5)), down + np.array((0.5, 0))])[:, ::-1]
        found.append(_to_contours(faces, contours[int(z)]))
    return np.concatenate(found)


def filled(contours: dict[int, list[Points]], shape: tuple[int, int, int]) -> NDArray[np.bool_]:
    """What any contour encloses, ``z, y, x``: holes are no holes then."""
    mask = np.zeros(shape, bool)
    for z, group in contours.items():
        for contour in group:
            mask[z] |= inside([contour[:, ::-1]], *shape[1:])
    return mask


def _to_contours(points: Points, contours: list[Points]) -> Points:
    nearest = np.full(len(points), np.inf)
    for contour in contours:
        ends = np.roll(contour, -1, axis=0)
        for first in range(0, len(contour), _AT_ONCE):
            start = contour[first : first + _AT_ONCE]
            edge = ends[first : first + _AT_ONCE] - start
            length = np.maximum((edge**2).sum(axis=1), 1e-12)
            along = ((points[:, None] - start) * edge).sum(axis=2) / length
            foot = start + np.clip(along, 0, 1)[..., None] * edge
            apart = np.hypot(*np.moveaxis(points[:, None] - foot, 2, 0))
            nearest = np.minimum(nearest, apart.min(axis=1))
    return nearest
