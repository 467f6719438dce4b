"""Rows of ``public_truths.py``: voxels that differ from a truth, and millimetres between the grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from gpuprep.io.scan import Scan
from gpuprep.values.geometry import Geometry

Row = dict[str, Any]
Placed = tuple[NDArray[Any], NDArray[np.float64]]
"""Voxels ``z, y, x``, and the affine from indices ``x, y, z`` to LPS mm."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def affine_of(grid: Geometry) -> NDArray[np.float64]:
    """From indices ``x, y, z`` to LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(grid.direction, (3, 3)) * grid.spacing
    affine[:3, 3] = grid.origin
    return affine


def volumes_row(data: str, truth: str, scan: Scan, file: Path, of: Sequence[int] = ()) -> Row:
    """A scan beside a NIfTI file of the same volumes, whichever way its axes run."""
    image = nibabel.load(file)
    shape = image.shape[:3]
    expected = np.asanyarray(image.dataobj).reshape(*shape, -1)
    ours = affine_of(scan.geometry)
    way = np.linalg.inv(ours) @ LPS @ image.affine
    index = np.moveaxis(np.indices(shape), 0, -1) @ way[:3, :3].T + way[:3, 3]
    x, y, z = np.moveaxis(np.rint(index).astype(int), -1, 0)
    apart = np.linalg.norm((index - np.rint(index)) @ ours[:3, :3].T, axis=-1).max()
    volumes = [scan.volumes[each] for each in of] or scan.volumes
    same_shape = sorted(shape) == sorted(scan.geometry.shape) and len(volumes) == expected.shape[3]
    if not same_shape:
        raise SystemExit(f"{data}: {scan.geometry.shape} of ours, {image.shape} of {truth}")
    differ = sum(
        int((volume.array[z, y, x] != expected[..., number]).sum())
        for number, volume in enumerate(volumes)
    )
    found = {"data": data, "truth": truth, "volumes": len(volumes), "voxels": expected.size}
    return {**found, "differ": differ, "apart_mm": round(float(apart), 6)}


def nifti(file: Path) -> Placed:
    image = nibabel.load(file)
    return (np.asanyarray(image.dataobj) > 0).transpose(2, 1, 0), LPS @ image.affine


def meta(file: Path) -> Placed:
    image = sitk.ReadImage(str(file))
    return sitk.GetArrayFromImage(image) > 0, affine_of_itk(image)


def affine_of_itk(image: sitk.Image) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return affine


def labels_row(data: str, truth: str, scan: Scan, labels: NDArray[Any], image: sitk.Image) -> Row:
    expected = (labels, affine_of_itk(image))
    called = ", ".join(scan.header["structures"].values())
    row = mask_row(data, truth, scan.volumes[0].array, scan.geometry, expected)
    return {**row, "called": called}


def mask_row(data: str, truth: str, ours: NDArray[Any], grid: Geometry, theirs: Placed) -> Row:
    """Voxels that differ, and how far corners of the grids are apart."""
    array, affine = theirs
    if array.shape != ours.shape:
        raise SystemExit(f"{data}: {ours.shape} of ours, {array.shape} of {truth}")
    corners = np.array(np.meshgrid(*((0, size - 1) for size in grid.size))).reshape(3, -1)
    apart = (affine - affine_of(grid))[:3] @ np.vstack([corners, np.ones(8)])
    return {
        "data": data, "truth": truth, "inside": int((ours > 0).sum()), "voxels": ours.size,
        "differ": int((ours != array).sum()), "only_ours": int(((ours > 0) & (array == 0)).sum()),
        "apart_mm": round(float(np.linalg.norm(apart, axis=0).max()), 6),
    }  # fmt: skip
