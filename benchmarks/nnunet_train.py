"""nnU-Net trains on what gpuprep prepared: its own command, one shortened epoch and the whole validation.

    python benchmarks/nnunet_train.py WORK --raw nnUNet_raw [--sets 701 703 704 708]

Every data set goes through nnU-Net's own ``plan_and_preprocess`` and, with the same plans, through
``gpuprep nnunet preprocess``. ``nnUNetv2_train`` then runs on both with the same seed, on the second with
``nnUNet_raw`` pointing nowhere. Losses of the batches are compared; those of 3d_fullres, and of 708 both
stages of the cascade. The second stage sees what the first one predicted, where a training of few batches
makes another class of voxels that are nearly even; so its losses are compared a second time with the
predictions of nnU-Net's first stage on either side. Exit code 1 where losses of equal predictions differ by
more than 1e-5, or a validation lacks a case.

The interpreter needs nnunetv2 2.8.1, torch and gpuprep (``pip install -e ".[nnunet]"``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2

from timing import machine, versions

RESULT = Path(__file__).parent / "results" / "nnunet_train.json"
TRAIN = str(Path(__file__).parent / "nnunet_shortened.py")
STAGES = {708: ("3d_lowres", "3d_cascade_fullres")}
LIMIT = 1e-5
PACKAGES = ("numpy", "scipy", "torch", "nnunetv2", "batchgenerators", "batchgeneratorsv2", "blosc2")
THEIRS = "from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import {0}; {0}()"
NOWHERE = "/nowhere"


def call(words: list[str], tree: Path, raw: str, **settings: str) -> None:
    """A command in one of the two trees; its output is shown where it fails."""
    environment = {
        **os.environ,
        "nnUNet_raw": raw,
        "nnUNet_preprocessed": str(tree / "preprocessed"),
        "nnUNet_results": str(tree / "results"),
        "nnUNet_def_n_proc": "1",
        **settings,
    }
    done = subprocess.run(
        [sys.executable, *words],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}")


def prepare(name: str, work: Path, raw: Path) -> None:
    """Both trees of a data set, by the same plans."""
    number, theirs, ours = str(int(name[7:10])), work / "theirs", work / "ours"
    there = theirs / "preprocessed" / name
    if not (there / "gt_segmentations").is_dir():
        step = THEIRS.format("plan_and_preprocess_entry")
        wanted = ["-c", "3d_fullres", "3d_lowres", "-np", "2", "-npfp", "2"]
        call(["-c", step, "-d", number, *wanted], theirs, str(raw))
    target = ours / "preprocessed" / name
    target.mkdir(parents=True, exist_ok=True)
    for file in ("dataset.json", "dataset_fingerprint.json", "nnUNetPlans.json"):
        shutil.copy(there / file, target / file)
    gpuprep = ["-m", "gpuprep", "nnunet", "preprocess", "--scheduler", "serial"]
    call([*gpuprep, "-d", number, "-c", "3d_fullres", "3d_lowres"], ours, str(raw))


def train(
    name: str, stage: str, fold: str, tree: Path, batches: int, raw: str, *, validates: bool = True
) -> list[float]:
    """The losses of a shortened epoch, followed by its validation."""
    words = [name, stage, fold, "-device", "cpu"]
    results = tree / "results" / name / f"Shortened__nnUNetPlans__{stage}" / f"fold_{fold}"
    settings = {
        "nnUNet_n_proc_DA": "0",
        "SHORTENED_BATCHES": str(batches),
        "SHORTENED_VALIDATES": str(int(validates)),
    }  # in one process, seeded
    call([TRAIN, *words], tree, raw, **settings)
    losses: list[float] = json.loads((results / "losses.json").read_text())
    if not validates:
        return losses
    validated = json.loads((results / "validation" / "summary.json").read_text())
    if not validated["metric_per_case"]:
        raise SystemExit(f"{name} {stage}: no case was validated")
    return losses


def crossed(name: str, first: str, ours: Path, theirs: Path, work: Path) -> tuple[Path, float]:
    """Our arrays with nnU-Net's first stage as a tree; the share of voxels that ours predicted otherwise."""
    place = Path("results", name, f"Shortened__nnUNetPlans__{first}", "predicted_next_stage")
    tree, differ, voxels = work / "crossed", 0, 0
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(theirs / place, tree / place)
    (tree / "preprocessed").symlink_to(ours / "preprocessed")
    for file in (theirs / place).rglob("*.b2nd"):
        pair = [blosc2.open(str(root / file.relative_to(theirs)))[:] for root in (ours, theirs)]
        differ, voxels = differ + int((pair[0] != pair[1]).sum()), voxels + pair[0].size
    return tree, differ / voxels


def rows(name: str, work: Path, raw: Path, batches: int) -> Iterator[dict[str, Any]]:
    """Every stage that is trained, on both trees."""
    prepare(name, work, raw)
    ours, theirs = work / "ours", work / "theirs"
    folds = ours / "preprocessed" / name / "splits_final.json"
    fold = "0" if folds.is_file() else "all"
    first = ""
    for stage in STAGES.get(int(name[7:10]), ("3d_fullres",)):
        found = {
            "gpuprep": train(name, stage, fold, ours, batches, NOWHERE),
            "nnU-Net": train(name, stage, fold, theirs, batches, str(raw)),
        }
        row = {"dataset": name, "stage": stage, "fold": fold, **found}
        if first:
            tree, share = crossed(name, first, ours, theirs, work)
            found["gpuprep"] = train(name, stage, fold, tree, batches, NOWHERE, validates=False)
            row |= {"other_predictions": share, "gpuprep_same_predictions": found["gpuprep"]}
        pairs = zip(*found.values(), strict=True)
        yield {**row, "differences": [abs(one - other) for one, other in pairs]}
        first = stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--raw", type=Path, required=True, help="nnUNet_raw with the data sets")
    parser.add_argument("--sets", type=int, nargs="+", default=(701, 703, 704, 708))
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    found = []
    for number in options.sets:
        (folder,) = options.raw.glob(f"Dataset{number:03d}_*")
        for row in rows(folder.name, options.work, options.raw, options.batches):
            print(json.dumps(row), flush=True)
            found.append(row)
    document = {"machine": machine(), "versions": versions(*PACKAGES), "rows": found}
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.exit(any(max(row["differences"]) > LIMIT for row in found))


if __name__ == "__main__":
    main()
