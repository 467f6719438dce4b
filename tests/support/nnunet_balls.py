"""Small raw data sets of nnU-Net, planned, for tests of what is prepared from them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel
import numpy as np

from gpuprep.nnunet.dataset import Fingerprint, parse_dataset
from gpuprep.nnunet.folders import Preprocessed
from gpuprep.nnunet.plan import plan_dataset
from gpuprep.nnunet.planners import PLANNERS

NAME = "Dataset031_Balls"
SHAPE = (16, 20, 24)
"""``x, y, z`` of every case, of 1×1×2 mm."""
_AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def write_case(raw: Path, case: str, seed: int) -> None:
    """A ball of label 1 with a core of 2 in noise, shown by two channels."""
    random = np.random.default_rng(seed)
    place = np.stack(np.mgrid[tuple(slice(edge) for edge in SHAPE)], -1)
    distance = np.linalg.norm(place - random.uniform(8, 11, 3), axis=-1)
    label = (distance < 6).astype(np.uint8) + (distance < 3)
    for channel in range(2):
        voxels = (random.normal(0, 20, SHAPE) + 100 * label + 10 * channel).astype(np.int16)
        write(raw / NAME / "imagesTr" / f"{case}_{channel:04d}.nii.gz", voxels)
    write(raw / NAME / "labelsTr" / f"{case}.nii.gz", label)


def write(file: Path, voxels: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, _AFFINE), file)


def describe(raw: Path, cases: int, **more: object) -> None:
    document = {
        "channel_names": {"0": "CT", "1": "T1"},
        "labels": {"background": 0, "ball": 1, "core": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
        **more,
    }
    (raw / NAME / "dataset.json").write_text(json.dumps(document))


def raw_dataset(folder: Path, cases: int) -> Path:
    """A folder for ``nnUNet_raw`` with so many cases; returns it."""
    for number in range(cases):
        write_case(folder, f"ball_{number:03d}", number)
    describe(folder, cases)
    return folder


def planned(preprocessed: Path, raw: Path, spacing: Sequence[float] = (2.0, 1.0, 1.25)) -> Path:
    """Fingerprint and plans as if counted; returns the folder of the preprocessed data set."""
    folder = preprocessed / NAME
    folder.mkdir(parents=True, exist_ok=True)
    document = json.loads((raw / NAME / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps(document))
    numbers = {"mean": 120.0, "median": 118.0, "min": -50.0, "max": 400.0, "std": 40.0}
    numbers |= {"percentile_00_5": -20.0, "percentile_99_5": 270.0}
    fingerprint = Fingerprint(
        ((2.0, 1.0, 1.0),) * 5, (SHAPE[::-1],) * 5, 1.0, {"0": numbers, "1": numbers}
    )
    (folder / "dataset_fingerprint.json").write_text(json.dumps(fingerprint.to_json()))
    dataset = parse_dataset(document, NAME)
    plan = plan_dataset(fingerprint, dataset, PLANNERS["ExperimentPlanner"], spacing=spacing)
    Preprocessed(folder).save_plans(plan.document)
    return folder


def ids(count: int) -> list[str]:
    """Of the first so many cases of ``raw_dataset``."""
    return [f"ball_{number:03d}" for number in range(count)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def triples(cases: Iterable[str]) -> set[str]:
    """The names of the files that nnU-Net has of cases."""
    return {case + end for case in cases for end in (".b2nd", "_seg.b2nd", ".pkl")}
