"""What a label loses on its way to another spacing and back: Dice of every structure of real masks.

    python benchmarks/round_trip.py --scans FOLDER --out round_trip.jsonl

Each mask is stored at its spacing times a factor, on every axis, and brought back to the grid of its file.
A structure is kept where Dice is 0.99 or more.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.config.file import parse_config
from gpuprep.export import prediction_to_native
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.values.case import Source
from timing import with_one_blas_thread

KEPT = 0.99
FACTORS = (0.5, 0.75, 1.25, 1.5, 2.0)
MASKS = (
    "elastix_lung_ct_mha/3DCT_lung_baseline_mask.mha",
    "elastix_lung_ct_mha/3DCT_lung_followup_segmentation.mha",
    "pyradiomics/brain1_label.nrrd",
    "pyradiomics/lung1_label.nrrd",
    "totalseg/example_seg.nii.gz",
)


def there_and_back(mask: Path, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """The mask of the file, and what came back of it; ``z, y, x``."""
    truth = read(Source(str(mask)), ReadRules()).volumes[0]
    spacing = [factor * edge for edge in truth.geometry.spacing]
    tree = {"image": {"resample": {"spacing": spacing}}, "label": {"only": True}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "c.csv").write_text(f"case_id,image\na,{mask}\n")
        rules = parse_config(tree | {"store": {"fsync": "never"}})
        report = run(folder / "c.csv", folder / "out", config=rules, scheduler="serial")
        if report.exit_code:
            raise SystemExit(f"{mask}: {report.failures}")
        case = open_cohort(folder / "out")["a"]
        (label,) = case.labels.values()
        back, _ = prediction_to_native(case, np.asarray(label))
    return truth.array, back


def structures(mask: Path, factor: float) -> Iterator[dict[str, Any]]:
    """Voxels in the file and Dice of each value."""
    truth, back = there_and_back(mask, factor)
    for value in np.unique(truth[truth > 0]).tolist():
        ours, theirs = back == value, truth == value
        size = int(np.count_nonzero(theirs))
        shared = int(np.count_nonzero(ours & theirs))
        dice = 2 * shared / (int(np.count_nonzero(ours)) + size)
        yield {
            "mask": f"{mask.parent.name}/{mask.name}",
            "value": value,
            "factor": factor,
            "voxels": size,
            "dice": round(dice, 4),
        }


def main() -> None:
    with_one_blas_thread()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = [
        row
        for mask in MASKS
        for factor in FACTORS
        for row in structures(options.scans / mask, factor)
    ]
    if options.out:
        lines = (json.dumps(row) + "\n" for row in rows)
        options.out.write_text("".join(lines), "utf-8")
    print("factor  structures  kept  the largest that was not kept (voxels)")
    for factor in FACTORS:
        of_factor = [row for row in rows if row["factor"] == factor]
        lost = [row["voxels"] for row in of_factor if row["dice"] < KEPT]
        kept = len(of_factor) - len(lost)
        print(f"{factor:6}  {len(of_factor):10}  {kept:4}  {max(lost, default=0):,}")


if __name__ == "__main__":
    main()
