"""Volumes from seeds for MONAI's statistics: turned axes, fractions, gaps in labels, more than 10⁶ voxels."""

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

SETS = {"ct": 1, "mr": 2}
"""Cohorts and how many channels they have."""
TOLERANCE = 1e-5  # relative: MONAI adds up means in float32; all else is equal to 2e-7

_AFFINES = (  # RAS for index x, y, z
    np.diag([-0.8, -0.8, 2.5, 1.0]),
    np.diag([0.9, 0.7, 1.5, 1.0]),
    np.array([[0, 0, 1.2, 4], [-0.6, 0, 0, 5], [0, 0.5, 0, -6], [0, 0, 0, 1.0]]),
)
_SHAPES = {"ct": ((30, 26, 14), (24, 28, 18), (20, 22, 34)), "mr": ((26, 24, 16), (110, 100, 96))}


def write_set(folder: Path, name: str) -> list[dict[str, list[str]]]:
    """Write a cohort in nnU-Net's layout; its files as a list of MONAI's."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    listed = []
    for number, shape in enumerate(_SHAPES[name]):
        random = np.random.RandomState(100 * SETS[name] + number)
        label = _label(random, shape, name, number)
        images = []
        for channel in range(SETS[name]):
            path = folder / f"imagesTr/{name}{number}_{channel:04d}.nii.gz"
            _save(path, _image(random, shape, label, name, channel), _AFFINES[number])
            images.append(str(path))
        path = folder / f"labelsTr/{name}{number}.nii.gz"
        _save(path, label, _AFFINES[number])
        listed.append({"image": images if len(images) > 1 else images[0], "label": str(path)})
    return listed


def check(ours: Any, theirs: Any, place: str = "") -> None:
    """The same keys in the same order, the same types, numbers within the tolerance."""
    assert type(ours) is type(theirs), place
    if isinstance(ours, dict):
        assert list(ours) == list(theirs), place
        for key, value in ours.items():
            check(value, theirs[key], f"{place}/{key}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), place
        for one, other in zip(ours, theirs, strict=True):
            check(one, other, place)
    elif isinstance(ours, float):
        near = TOLERANCE if place.endswith("mean") else 2e-7
        assert math.isclose(ours, theirs, rel_tol=near), (place, ours, theirs)
    else:
        assert ours == theirs, place


def _image(random, shape, label, name, channel):
    noise = random.randint(-60, 60, shape)
    if name == "ct":
        return (noise + np.where(label > 0, 40, -200) + 90 * label).astype(np.int16)
    image = (noise + 80 + 100 * label).clip(0)
    image[:, : 3 + channel] = image[..., -2:] = 0  # what the crop takes away
    return image.astype(np.int16) if channel else (image / 7).astype(np.float32)


def _label(random, shape, name, number):
    label = np.zeros(shape, np.uint8)
    for value in (1, 2) if name == "mr" else (1, 3):
        for _ in range(3):
            corner = [random.randint(1, n - 6) for n in shape]
            label[tuple(slice(c, c + random.randint(2, 5)) for c in corner)] = value
    if name == "mr" and not number:
        label[label == 2] = 0
    return label


def _save(path, array, affine):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
