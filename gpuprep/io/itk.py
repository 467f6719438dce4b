"""SimpleITK as one decoder among others: named image formats, short errors, nothing taken on faith."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.host.resources import widen_address_space
from gpuprep.io.hashed import file_identity
from gpuprep.io.room import ITK_BYTES
from gpuprep.values.errors import InputError, MemoryShortage
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

widen_address_space(ITK_BYTES)
import SimpleITK as sitk  # noqa: E402  (whoever uses it, comes by here)

ITK_VERSION = f"SimpleITK {sitk.__version__}"

_FINITE, _NOT_FINITE = np.uint8(1), np.uint8(2)  # 0 is outside
_INTERPOLATORS = {
    "nearest": sitk.sitkNearestNeighbor,
    "linear": sitk.sitkLinear,
    "cubic": sitk.sitkBSpline,
}


def itk_image(path: Path, image_io: str) -> sitk.Image:
    """Read one file with one named reader of ITK.

    Raises:
        InputError: E_UNREADABLE with ITK's reason in one line.
        MemoryShortage: ITK could not have the memory.
        OSError: the file system failed, not the file.
    """
    sitk.ProcessObject.GlobalWarningDisplayOff()  # what is wrong with a file is an error of its own
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        return _executed(reader)
    except RuntimeError as error:
        file_identity(path)  # ITK tells a disk that fails and a damaged file not apart; this does
        reason = _reason(str(error))
        if re.search(r"allocate|bad_alloc|memory", reason, re.IGNORECASE):
            raise MemoryShortage(f"{path}: {reason}") from error
        raise InputError(
            "E_UNREADABLE",
            f"ITK cannot read it: {reason}",
            path=str(path),
            advice="Copy or download the file again, or write it anew.",
        ) from error


def itk_affine(image: sitk.Image) -> tuple[NDArray[np.float64], int]:
    """The 4×4 of an image, LPS mm, and how many of its axes are of space: two or three."""
    count = image.GetDimension()
    axes = min(3, count)
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (count, count))[:axes, :axes]
    affine[:axes, :axes] = direction * np.array(image.GetSpacing()[:axes])
    affine[:axes, 3] = image.GetOrigin()[:axes]
    return affine, axes


def itk_array(image: sitk.Image) -> NDArray[Any]:
    """The pixels of an image, axes from the slowest; a copy."""
    array: NDArray[Any] = sitk.GetArrayFromImage(image)
    return array


def _executed(reader: sitk.ImageFileReader) -> sitk.Image:
    """What the reader reads, at the second go if the first one failed: the disk may have, for a moment."""
    try:
        return reader.Execute()
    except RuntimeError:
        return reader.Execute()


def _reason(text: str) -> str:
    """The last line of an ITK error without source lines and object addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^.*ITK ERROR:\s*", "", lines[-1] if lines else "no reason given")
    return re.sub(r"\w+\(0x[0-9a-f]+\):\s*", "", last)[:300]


def resample_onto(
    volume: Volume, geometry: Geometry, interpolation: str
) -> tuple[NDArray[Any], int]:
    """A volume on another grid, in its own dtype and range, and how many voxels lie outside its extent.

    These hold its smallest finite voxel. A voxel whose nearest one is NaN or infinite is NaN; the finite
    extremes stand in for those while the others are interpolated. Whole numbers are rounded half to even.
    """
    array = volume.array
    finite = np.isfinite(array)
    if not finite.any():
        return np.full(geometry.shape, np.nan, array.dtype), 0
    low, high = array[finite].min(), array[finite].max()
    clean = array if finite.all() else np.nan_to_num(array, nan=low, posinf=high, neginf=low)
    wide = array.dtype.itemsize > 2 and array.dtype.kind in "iu"  # float32 would round them
    kind, pixels = (np.float64, sitk.sitkFloat64) if wide else (np.float32, sitk.sitkFloat32)
    image = _image(np.ascontiguousarray(clean, kind), volume.geometry)
    marks = _image(np.where(finite, _FINITE, _NOT_FINITE), volume.geometry)
    grid = _image(np.zeros((1, 1, 1), np.uint8), geometry)
    size = list(geometry.size)
    frame = (grid.GetOrigin(), grid.GetSpacing(), grid.GetDirection())
    plain = sitk.Transform(3, sitk.sitkIdentity)
    how = _INTERPOLATORS[interpolation]
    moved = sitk.Resample(image, size, plain, how, *frame, float(low), pixels)
    seen = sitk.Resample(marks, size, plain, sitk.sitkNearestNeighbor, *frame, 0.0, sitk.sitkUInt8)
    placed, found = (
        np.clip(sitk.GetArrayViewFromImage(moved), low, high),
        sitk.GetArrayViewFromImage(seen),
    )
    if array.dtype.kind in "iu":
        placed = np.rint(placed)
    placed[found == _NOT_FINITE] = np.nan
    return placed.astype(array.dtype), int((found == 0).sum())


def _image(array: NDArray[Any], geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image
