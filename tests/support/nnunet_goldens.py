"""What nnU-Net 2.8.1 made: fingerprints, plans and voxels of its data sets, drawn ones, estimates, folds."""

import atexit
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_TREE = Path(__file__).parents[2]
_FOLDER = _TREE / "tests" / "goldens"
_MAKER = _TREE / "benchmarks" / "nnunet_datasets.py"


def _read(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(gzip.decompress((_FOLDER / name).read_bytes()))
    return told


GOLDENS = _read("nnunet_plans.json.gz")
PREPROCESSED = _read("nnunet_preprocessed.json.gz")
"""Per ``DATASET/nnUNetPlans_CONFIGURATION`` and case: shape, box, labels, hashes, numbers of the voxels."""


def few(names: Iterable[str], quick: str = "Dataset704_LungIgnore") -> list[Any]:
    """The parameters of a test; all but those of one small data set are slow."""
    return [
        pytest.param(name, marks=() if name.startswith(quick) else pytest.mark.slow)
        for name in names
    ]


def raw_data(dataset: str) -> Path:
    """The raw folder of a golden data set, made from the real scans unless GPUPREP_NNUNET_RAW has it.

    The test is skipped where there are neither.
    """
    asked = os.environ.get("GPUPREP_NNUNET_RAW")
    folder = (Path(asked) if asked else _made(dataset[7:10])) / dataset
    if not (folder / "dataset.json").is_file():
        pytest.skip(f"no raw data in {folder}; set GPUPREP_NNUNET_RAW or GPUPREP_TEST_DATA")
    return folder


@cache
def _made(number: str) -> Path:
    """A folder with that raw data set, if there are scans to make it from."""
    folder = Path(tempfile.mkdtemp(prefix="gpuprep-goldens-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    scans = Path(os.environ.get("GPUPREP_TEST_DATA") or _TREE.parent / "shared" / "data")
    if scans.is_dir() and _MAKER.is_file():
        line = [sys.executable, str(_MAKER), str(folder), "--scans", str(scans), "--only", number]
        subprocess.run(line, check=True, capture_output=True)
    return folder
