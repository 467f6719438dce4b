"""Stored cohorts whose cases differ in label maps, dtypes and channels, with their agreement."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpuprep.ledger.output import save_agreement
from gpuprep.store.case import write_case
from gpuprep.store.files import append_line
from gpuprep.store.layout import MANIFEST_FILE, case_folder
from gpuprep.store.listing import Holding
from gpuprep.store.record import write_record
from gpuprep.values.agreement import Agreement
from gpuprep.values.geometry import Geometry

SHAPE = (12, 11, 10)


class Stored(NamedTuple):
    """A case: the values of its label maps (none for a test case), their dtype, and its channels."""

    labels: Mapping[str, tuple[int, ...]] = {}
    dtype: str = "u1"
    channels: tuple[str, ...] = ("CT",)


def label_of(values: tuple[int, ...], dtype: str) -> np.ndarray:
    """Slices of each value, the first of background."""
    label = np.zeros(SHAPE, dtype)
    for number, value in enumerate(values, 1):
        label[2 * number : 2 * number + 2, 1:, 2:] = value
    return label


def store_labelled(
    root: Path, cases: Mapping[str, Stored], agreement: Agreement | None, *, listed: bool = True
) -> Path:
    """Write the cases, as a run would have, and what they agree on."""
    for case_id, (labels, dtype, channels) in cases.items():
        folder = case_folder(root, case_id)
        image = np.ones((len(channels), *SHAPE), np.float32)
        arrays = {name: label_of(values, dtype) for name, values in labels.items()}
        names = agreement.labels if agreement else {}
        files = write_case(
            folder,
            image=image if len(image) > 1 else image[0],
            labels=arrays,
            geometry=Geometry(SHAPE, (1.0, 1.0, 2.0), (0.0, 0.0, 0.0)),
            chunk=8,
            channel_names=channels,
            label_names={name: names[name].names for name in arrays if name in names},
            durable=False,
        )
        counts = {
            name: {str(v): int(n) for v, n in zip(*np.unique(a, return_counts=True), strict=True)}
            for name, a in arrays.items()
        }
        record = {
            "files": files,
            "channels": list(channels),
            "intensity": [{}] * len(channels),
            "labels": counts,
            "geometry": _geometry(),
        }
        write_record(folder, record, durable=False)
        if listed:
            held = Holding.of_record(record)
            assert held is not None
            append_line(root / MANIFEST_FILE, {"case": case_id, **held.to_row()})
    if agreement is not None:
        save_agreement(root, agreement)
    return root


def _geometry() -> dict[str, object]:
    grid = Geometry(SHAPE, (1.0, 1.0, 2.0), (0.0, 0.0, 0.0)).to_json()
    return {"source": grid, "oriented": grid, "crop": [[0, n] for n in SHAPE], "output": grid}
