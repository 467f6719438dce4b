"""Tables of cohorts that nobody made: usual cases, and such as are unlike the others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.columns import objects
from gpuprep.store.table import CaseTable

PERCENTILES = {
    "p0.5": -2.6,
    "p5": -1.64,
    "p25": -0.67,
    "p50": 0.0,
    "p75": 0.67,
    "p95": 1.64,
    "p99.5": 2.6,
}
STEPS = {"clip_low": -1000.0, "clip_high": 1000.0, "scale": 0.002, "offset": 0.2}


def usual(count: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Columns of cases like one another: CT of 0.7 to 0.9 mm, a liver, and in all a tumor."""
    random = np.random.default_rng(seed)
    columns: dict[str, NDArray[Any]] = {
        "case": objects([f"case_{number}" for number in range(count)]),
        "input": objects(["in"] * count),
        "digest": objects(["0"] * count),
    }
    step = random.normal(0.8, 0.03, count)
    for lead, spacings in (
        ("source_", (random.normal(1.1, 0.06, count), step, step)),
        ("", (1.0,) * 3),
    ):
        for axis, spacing in zip("zyx", spacings, strict=True):
            millimetres = np.exp(random.normal(np.log(300), 0.1, count))
            columns[f"{lead}spacing_{axis}"] = np.broadcast_to(spacing, count).copy()
            columns[f"{lead}shape_{axis}"] = np.rint(millimetres / spacing).astype(np.int32)
    columns["bytes"] = random.integers(10**6, 2 * 10**6, count)
    columns["source_bytes"] = random.integers(10**6, 2 * 10**6, count)
    columns["channels"] = objects(["CT"] * count)
    columns["labels"] = objects(["segmentation"] * count)
    columns["findings"] = objects([""] * count)
    columns["orientation"] = objects(["LPS"] * count)
    columns["oblique"] = np.abs(random.normal(0, 3, count))
    columns["kept"] = np.clip(random.normal(0.6, 0.05, count), 0, 1)
    stored = np.prod([columns[f"shape_{axis}"].astype(np.int64) for axis in "zyx"], axis=0)
    liver = (np.exp(random.normal(np.log(0.05), 0.2, count)) * stored).astype(np.int64)
    tumor = (np.exp(random.normal(np.log(0.002), 0.8, count)) * stored).astype(np.int64)
    columns["voxels.segmentation.0"] = stored - liver - tumor
    columns["voxels.segmentation.1"] = liver
    columns["voxels.segmentation.2"] = tumor
    middle, spread = random.normal(40, 8, count), random.normal(300, 12, count)
    columns["statistics.CT.count"] = stored.astype(float)
    columns |= {"statistics.CT.mean": middle, "statistics.CT.std": spread}
    for name, place in PERCENTILES.items():
        columns[f"statistics.CT.{name}"] = middle + place * spread + random.normal(0, 5, count)
    columns["statistics.CT.min"] = np.full(count, -1024.0)
    columns["statistics.CT.max"] = np.exp(random.normal(7.5, 0.3, count))
    columns["statistics.CT.at_low"] = np.abs(random.normal(0.2, 0.03, count))
    columns["statistics.CT.at_high"] = np.abs(random.normal(0.002, 0.0005, count))
    columns |= {f"statistics.CT.{name}": np.full(count, value) for name, value in STEPS.items()}
    columns["statistics.CT.after_mean"] = middle / 500 + 0.2
    columns["statistics.CT.after_std"] = spread / 500
    columns["statistics.CT.foreground"] = np.clip(random.normal(0.7, 0.05, count), 0, 1)
    return columns


def planted(count: int = 40, seed: int = 1) -> tuple[CaseTable, dict[str, str]]:
    """A cohort with one outlier of each kind, and which case it is."""
    columns = usual(count, seed)
    columns["source_spacing_z"][3] = 5.0
    columns["source_shape_z"][3] = 60  # 300 mm, as the others
    for name in ("1", "2"):
        columns["voxels.segmentation.0"][7] += columns[f"voxels.segmentation.{name}"][7]
        columns[f"voxels.segmentation.{name}"][7] = 0
    columns["orientation"][11] = "RPS"
    columns["voxels.segmentation.0"][17] += columns["voxels.segmentation.1"][17]
    columns["voxels.segmentation.1"][17] = 0
    columns["statistics.CT.at_high"][23] = 0.31
    for axis in "zyx":
        columns[f"source_shape_{axis}"][29] //= 8
    places = {
        **{"spacing": "case_3", "empty label": "case_7", "orientation": "case_11"},
        **{"absent class": "case_17", "clipped intensity": "case_23", "field of view": "case_29"},
    }
    return CaseTable(columns), places
