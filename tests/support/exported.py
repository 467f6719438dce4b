"""Cohorts with known voxels, and foreign readers of what was exported of them."""

from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.values.geometry import Geometry


def write_foreign(file: Path, array: np.ndarray, geometry: Geometry) -> None:
    """The source, written without our own export."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    sitk.WriteImage(image, str(file))


def config(**image: object) -> Config:
    tree = {"image": image, "store": {"dtype": "float32", "fsync": "never"}}
    return parse_config(tree)


def read_sitk(file: Path) -> tuple[np.ndarray, Geometry]:
    image = sitk.ReadImage(str(file))
    array = sitk.GetArrayFromImage(image)
    return array, Geometry(array.shape, image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def read_nibabel(file: Path) -> tuple[np.ndarray, Geometry]:
    image = nibabel.load(file)
    array = np.asarray(image.dataobj).T
    return array, Geometry.from_affine_ras(image.affine, array.shape)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
