"""A cohort of cases that are much alike, and one more of every kind that is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from support.phantoms import store

ALIKE = 24
CONFIG: dict[str, Any] = {
    "image": {"intensity": [{"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}}]},
    "label": {"names": {"liver": 1, "lesion": 2}},
}


class Scan:
    """A bright ball with a core in noise: voxels ``x, y, z``, their label, an RAS affine."""

    def __init__(self, number: int) -> None:
        self.random = np.random.default_rng(number)
        self.shape = (38 + number % 5, 34 + number % 3, 20 + number % 4)
        self.spacing = np.array([0.8, 0.8, 1.6]) * (1 + 0.01 * (number % 7))
        self.flips = np.array([-1, -1, 1])
        self.draw()

    def draw(self) -> None:
        place = np.stack(np.indices(self.shape), -1) - (np.array(self.shape) - 1) / 2
        radius = np.linalg.norm(place * [1, 1, 2], axis=-1)
        size = 11 + self.random.random()
        noise = self.random.normal(-700, 60, self.shape)
        self.voxels = (noise + 760 * (radius < size)).astype(np.int16)
        self.label = ((radius < size).astype(np.uint8) + (radius < 5)).astype(np.uint8)

    def save(self, folder: Path, name: str) -> dict[str, str]:
        affine = np.diag([*(self.flips * self.spacing), 1.0])
        for kind, array in (("image", self.voxels), ("label", self.label)):
            nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}-{kind}.nii.gz")
        return {"case_id": name, "image": f"{name}-image.nii.gz", "label": f"{name}-label.nii.gz"}


def _wrong_spacing(scan: Scan) -> None:
    scan.spacing = np.array([0.8, 0.8, 16.0])


def _empty_label(scan: Scan) -> None:
    scan.label[:] = 0


def _flipped(scan: Scan) -> None:
    scan.flips = np.array([-1, 1, 1])


def _absent_class(scan: Scan) -> None:
    scan.label[scan.label == 2] = 1


def _clipped(scan: Scan) -> None:
    scan.voxels = np.clip(scan.voxels, -720, -650)


def _tiny(scan: Scan) -> None:
    scan.shape = (26, 26, 3)
    scan.spacing = np.array([0.8, 0.8, 1.6])
    scan.draw()


PLANTED: dict[str, Callable[[Scan], None]] = {
    "planted-wrong-spacing": _wrong_spacing,
    "planted-empty-label": _empty_label,
    "planted-flipped": _flipped,
    "planted-absent-class": _absent_class,
    "planted-clipped": _clipped,
    "planted-tiny": _tiny,
}


def planted_cohort(folder: Path, output: Path) -> Path:
    """``ALIKE`` ordinary cases and one of each of ``PLANTED``."""
    folder.mkdir()
    rows = [Scan(number).save(folder, f"case-{number:03d}") for number in range(ALIKE)]
    for number, (name, spoil) in enumerate(PLANTED.items(), 100):
        scan = Scan(number)
        spoil(scan)
        rows.append(scan.save(folder, name))
    return store(folder, rows, output, CONFIG)
