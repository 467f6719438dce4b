"""Volumes that look different from every side, in files of any orientation, and cohorts made of them."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from support.cohorts import run

SHAPE = (24, 20, 16)
"""Voxels along x, y, z of the upright phantom, whose axes run to Right, Anterior and Superior."""
SPACING = (2.0, 2.5, 3.0)
ORIENTATIONS = [
    "".join(letters)
    for pairs in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*pairs)
]
NAMES = {
    " ".join(words): 1 + number
    for number, words in enumerate(
        itertools.product(("inferior", "superior"), ("posterior", "anterior"), ("left", "right"))
    )
}
"""The value of each octant's label: 1 + 1 · right + 2 · anterior + 4 · superior."""
CONFIG: dict[str, Any] = {
    "image": {
        "intensity": [{"clip": {"low": -1000, "high": 1000}}, {"rescale": {"to": [0, 1]}}],
        "resample": {"spacing": [2.5, 2.5, 2.5]},
    },
    "label": {"names": NAMES},
}


def octants() -> np.ndarray:
    """1 to 8: which octant a voxel of the upright phantom lies in."""
    right, front, top = (index >= n / 2 for index, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    return (1 + right + 2 * front + 4 * top).astype(np.uint8)


def values() -> np.ndarray:
    """Another value in each octant, none equal to its neighbours', and a bright right anterior top corner."""
    x, y, z = np.indices(SHAPE)
    voxels = 100 * octants().astype(np.int16) - 500 + (3 * x + 5 * y + 7 * z) % 40
    voxels[-4:, -4:, -4:] = 900
    return voxels.astype(np.int16)


def affine(degrees: float = 0.0) -> np.ndarray:
    """RAS mm of the upright phantom, turned about the axis to S and then about that to R."""
    a, b = np.radians([degrees, degrees / 2])
    about_z = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    about_x = [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    placed = np.eye(4)
    placed[:3, :3] = np.array(about_x) @ about_z @ np.diag(SPACING)
    placed[:3, 3] = [-20, 15, -31]
    return placed


def oriented(voxels: np.ndarray, placed: np.ndarray, code: str) -> nibabel.Nifti1Image:
    """The same volume with axes that run to the letters of ``code``."""
    image = nibabel.Nifti1Image(voxels, placed)
    turn = ornt_transform(io_orientation(placed), axcodes2ornt(code))
    return image.as_reoriented(turn)


def write_phantom(
    folder: Path, name: str, code: str = "RAS", degrees: float = 0.0
) -> dict[str, str]:
    """An image and its label as files; the row of a manifest for them."""
    folder.mkdir(exist_ok=True)
    placed = affine(degrees)
    for kind, array in (("image", values()), ("label", octants())):
        nibabel.save(oriented(array, placed, code), folder / f"{name}-{kind}.nii.gz")
    return {"case_id": name, "image": f"{name}-image.nii.gz", "label": f"{name}-label.nii.gz"}


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return folder / "cases.csv"


def store(
    folder: Path, rows: list[dict[str, str]], output: Path, config: Mapping[str, Any]
) -> Path:
    """A cohort of phantoms that lie in a folder."""
    report = run(write_manifest(folder, rows), output, config)
    assert report.exit_code == 0
    return output


def turned_cohort(folder: Path, output: Path) -> Path:
    """The phantom in all 48 orientations, and five oblique ones."""
    rows = [write_phantom(folder, code, code) for code in ORIENTATIONS]
    rows += [
        write_phantom(folder, f"oblique-{code}", code, degrees)
        for code, degrees in [("RAS", 25), ("LPS", -30), ("SRP", 12), ("AIL", 28), ("PRI", -8)]
    ]
    return store(folder, rows, output, CONFIG)


PLAIN: dict[str, Any] = {
    "image": {
        "crop": {"to": "nonzero"},
        "intensity": [{"clip": {"low": -1000, "high": 1000}}, {"rescale": {"to": [0, 1]}}],
    },
}
BOX = (slice(3, 21), slice(2, 19), slice(4, 15))
"""Where the phantom of ``write_boxed`` holds anything: voxels along x, y, z."""
GAPS = (1, 5, 1000, 60000)


def boxed(array: np.ndarray) -> np.ndarray:
    """A volume that is zero outside of ``BOX``."""
    kept = np.zeros_like(array)
    kept[BOX] = array[BOX]
    return kept


def many_labels() -> np.ndarray:
    """300 labels in blocks of 2 × 2 × 4 voxels."""
    x, y, z = np.indices(SHAPE)
    return boxed(((40 * (x // 2) + 4 * (y // 2) + z // 4) % 300 + 1).astype(np.uint16))


def gapped_labels() -> np.ndarray:
    """Four labels whose values are far apart, one in each pair of octants."""
    return boxed(np.array([0, *GAPS], np.uint16)[(octants() + 1) // 2])


def write_boxed(folder: Path, name: str, labels: np.ndarray) -> dict[str, str]:
    """The phantom and its labels, zero outside of ``BOX``; a CT by its attribute."""
    folder.mkdir(exist_ok=True)
    for kind, array in (("image", boxed(values())), ("label", labels)):
        nibabel.save(oriented(array, affine(), "LIP"), folder / f"{name}-{kind}.nii.gz")
    files = {kind: f"{name}-{kind}.nii.gz" for kind in ("image", "label")}
    return {"case_id": name, **files, "modality": "CT"}


def labelled_cohorts(folder: Path, outputs: Path) -> None:
    """``many`` (300 labels, two levels), ``gaps`` (labels far apart), ``dense`` (a codec of no browser)."""
    levels = {**PLAIN, "store": {"pyramid": 1}}
    store(folder, [write_boxed(folder, "many", many_labels())], outputs / "many", levels)
    store(folder, [write_boxed(folder, "gaps", gapped_labels())], outputs / "gaps", PLAIN)
    dense = {**PLAIN, "store": {"codec": "dense"}}
    store(folder, [write_boxed(folder, "dense", gapped_labels())], outputs / "dense", dense)
