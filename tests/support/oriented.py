"""Asymmetric phantoms in every orientation, and what a run makes of them."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np

ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*axes)
]
"""All 48, as nibabel spells them: the direction towards which each index grows."""

SHAPE = (14, 17, 11)
SPACING = (1.5, 1.0, 2.0)


def affine_of(code: str, degrees: float = 0.0) -> np.ndarray:
    """A RAS affine whose index axes follow the letters, turned by an angle about the patient's long axis."""
    affine = np.eye(4)
    for column, letter in enumerate(code):
        axis, sign = {
            **{"R": (0, 1), "L": (0, -1)},
            **{"A": (1, 1), "P": (1, -1)},
            **{"S": (2, 1), "I": (2, -1)},
        }[letter]
        affine[:3, column] = 0
        affine[axis, column] = sign * SPACING[column]
    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = (-21.0, 13.5, 40.0)
    return affine


def phantom(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """An image in which no two axes are alike, -1200 to 1400, and a label map with 1 and 3, in x, y, z."""
    random = np.random.default_rng(seed)
    x, y, z = np.indices(SHAPE)
    image = (90 * x - 60 * y + 25 * z * z - 600 + random.integers(-40, 40, SHAPE)).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    label[2:9, 3:8, 2:7] = 1
    label[6:8, 9:14, 5:10] = 3
    return image, label


def save_phantom(folder: Path, name: str, affine: np.ndarray) -> Path:
    """``NAME_image.nii.gz`` and ``NAME_label.nii.gz``; gives the image's path."""
    image, label = phantom()
    for part, array in (("image", image), ("label", label)):
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}_{part}.nii.gz")
    return folder / f"{name}_image.nii.gz"
