"""nnU-Net 2.8.1's way back from logits: hashes of its segmentations, and the logits themselves."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.nnunet.trained import TrainedNetwork
from support.nnunet_goldens import GOLDENS

_FILE = Path(__file__).parents[1] / "goldens" / "nnunet_export.json.gz"
EXPORTS: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
DRAWN: list[Any] = json.loads(_FILE.with_name("nnunet_drawn_exports.json").read_text("utf-8"))
"""Shape, dtype and hash of the segmentation of each of the drawn logits, by seed."""


def digest(array: np.ndarray) -> str:
    """As the goldens have it."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def blobs(heads: int, shape: list[int], seed: int = 7) -> np.ndarray:
    """float16 blobs with noise: the logits of the goldens."""
    random = np.random.RandomState(seed)
    coarse = random.standard_normal((heads, 6, 6, 6))
    for axis, n in enumerate(shape):
        coarse = coarse.take(np.arange(n) * 6 // n, axis + 1)
    return (coarse + 0.25 * random.standard_normal((heads, *shape))).astype(np.float16)


def trained(dataset: str, configuration: str, folder: Path) -> TrainedNetwork:
    """A network of a golden data set, whose files are put into a folder."""
    files = GOLDENS["datasets"][dataset]
    for name in ("dataset", "nnUNetPlans"):
        (folder / f"{name}.json").write_text(files[name])
    return TrainedNetwork.read(folder / "nnUNetPlans.json", configuration)
