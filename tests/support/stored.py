"""Stored cohorts whose voxels tell where they are, for the tests of the training feed."""

from pathlib import Path

import numpy as np

from gpuprep.store.case import write_case
from gpuprep.store.layout import case_folder
from gpuprep.store.record import write_record
from gpuprep.values.geometry import Geometry

SHAPES = [(20, 24, 28), (24, 9, 30), (17, 33, 21), (26, 20, 20), (19, 25, 22)]


def voxels_of(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image ``2, z, y, x`` of unlike voxels, and a label map with classes 1 and 2 (case 0 has no 2)."""
    shape = SHAPES[number]
    image = np.arange(1, 2 * np.prod(shape) + 1, dtype=np.int32).reshape(2, *shape)
    label = np.zeros(shape, np.uint8)
    label[2:8, 3:7, 4:9] = 1
    if number:
        label[-1, -1, -1] = 2
    return image, label


def store_cohort(root: Path, codec: str = "balanced") -> Path:
    """Five cases ``case_0`` ... ``case_4`` in chunks of 8."""
    for number, shape in enumerate(SHAPES):
        image, label = voxels_of(number)
        folder = case_folder(root, f"case_{number}")
        files = write_case(
            folder,
            image=image,
            labels={"organ": label},
            geometry=Geometry(shape, (1.0, 1.0, 2.0), (0.0, 0.0, 0.0)),
            chunk=8,
            codec=codec,
            durable=False,
        )
        record = {"files": files, "attributes": {"site": "A" if number % 2 else "B"}}
        write_record(folder, record, durable=False)
    return root


def store_unlike_labels(root: Path) -> set[int]:
    """Three cases whose label map is uint8, int16 and uint16, in chunks of 8; the values in them."""
    values = {"u1": 200, "i2": -3, "u2": 60_000}
    for dtype, value in values.items():
        label = np.zeros((9, 10, 11), dtype)
        label[2:5, 3:, 4:] = value
        folder = case_folder(root, f"case_{dtype}")
        geometry = Geometry(label.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        image = np.ones(label.shape, np.float32)
        more = {"geometry": geometry, "chunk": 8, "codec": "gpu", "durable": False}
        files = write_case(folder, image=image, labels={"organ": label}, **more)
        record = {"files": files, "labels": {"organ": {"0": 1, str(value): 1}}}
        write_record(folder, record, durable=False)
    return {0, *values.values()}
