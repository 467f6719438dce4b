"""What nnU-Net 2.8.1 made: fingerprints and plans of its data sets, drawn ones, memory estimates, folds."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

_FILE = Path(__file__).parents[1] / "goldens" / "nnunet_plans.json.gz"
GOLDENS: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))


def raw_data(dataset: str) -> Path:
    """The raw folder of a golden data set; the test is skipped where there is none."""
    folder = Path(os.environ.get("GPUPREP_NNUNET_RAW", "")) / dataset
    if not (folder / "dataset.json").is_file():
        pytest.skip("set GPUPREP_NNUNET_RAW to the raw folder of the golden data sets")
    return folder
