"""What nnU-Net 2.8.1 made: fingerprints, plans and voxels of its data sets, drawn ones, estimates, folds."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parents[1] / "goldens"


def _read(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(gzip.decompress((_FOLDER / name).read_bytes()))
    return told


GOLDENS = _read("nnunet_plans.json.gz")
PREPROCESSED = _read("nnunet_preprocessed.json.gz")
"""Per ``DATASET/nnUNetPlans_CONFIGURATION`` and case: shape, box, labels, hashes, numbers of the voxels."""


def raw_data(dataset: str) -> Path:
    """The raw folder of a golden data set; the test is skipped where there is none."""
    folder = Path(os.environ.get("GPUPREP_NNUNET_RAW", "")) / dataset
    if not (folder / "dataset.json").is_file():
        pytest.skip("set GPUPREP_NNUNET_RAW to the raw folder of the golden data sets")
    return folder
