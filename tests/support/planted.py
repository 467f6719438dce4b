"""A small cohort of files with one outlier of each kind among them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

COUNT = 40
PLACES = {
    **{"spacing": "volume-3", "empty label": "volume-7", "orientation": "volume-11"},
    **{"absent class": "volume-17", "clipped intensity": "volume-23", "field of view": "volume-29"},
}
CONFIG = {"image": {"intensity": [{"clip": {"low": -1000, "high": 1000}}]}}


def write_planted(folder: Path) -> None:
    """Pairs of a volume and a segmentation: soft tissue in air, in it an organ with a tumor."""
    for number in range(COUNT):
        _write(folder, number, next((k for k, v in PLACES.items() if v == f"volume-{number}"), ""))


def _write(folder: Path, number: int, kind: str) -> None:
    random = np.random.default_rng(number)
    steps = random.normal([8, 8, 9], 0.2)
    shape = np.rint(random.normal([250, 250, 200], 10) / steps).astype(int)  # x, y, z
    if kind == "spacing":
        shape[2], steps[2] = 6, 32
    if kind == "field of view":
        shape //= 6
    affine = np.diag([*(steps * [-1, -1, 1]), 1.0])  # towards L, P, S
    if kind == "orientation":
        affine[0] *= -1
    place = np.linalg.norm((np.stack(np.indices(shape), -1) / (shape - 1) - 0.5) * 2, axis=-1)
    voxels = random.normal(-900, 15, shape) + 940 * (place < 0.8)
    label = (place < 0.6).astype(np.uint8) + (place < 0.35)
    if kind == "clipped intensity":
        voxels[place < 0.75] = 2500
    if kind == "empty label":
        label[:] = 0
    if kind == "absent class":
        label[label == 2] = 1
    for name, array in (("volume", voxels.astype(np.int16)), ("segmentation", label)):
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}-{number}.nii.gz")
