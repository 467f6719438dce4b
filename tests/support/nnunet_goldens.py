"""What nnU-Net 2.8.1 made: fingerprints and plans of its data sets, drawn ones, memory estimates, folds."""

import gzip
import json
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[1] / "goldens" / "nnunet_plans.json.gz"
GOLDENS: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
