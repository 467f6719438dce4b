"""Makes ``nnunet_drawn_exports.json``: hashes of the segmentations that nnU-Net 2.8.1 makes of drawn logits.

Not run by the tests. In an environment with nnU-Net (see ``make.py``):

    PYTHONPATH=tests python tests/goldens/from_nnunet_exports.py
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.export_prediction import (
    convert_predicted_logits_to_segmentation_with_correct_shape as convert,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from support.nnunet_drawn import drawn

FILE = Path(__file__).parent / "nnunet_drawn_exports.json"
SEEDS = 120


def segmentation_of(seed: int) -> np.ndarray:
    case = drawn(seed)
    manager = PlansManager(case.plans)
    found: np.ndarray = convert(
        torch.from_numpy(case.logits),
        manager,
        manager.get_configuration(case.configuration),
        manager.get_label_manager(case.dataset),
        case.properties,
        num_threads_torch=1,
    )
    return found


if __name__ == "__main__":
    rows = []
    for seed in range(SEEDS):
        made = np.ascontiguousarray(segmentation_of(seed))
        rows.append([list(made.shape), str(made.dtype), hashlib.sha256(made).hexdigest()[:16]])
    lines = ",\n".join(json.dumps(row) for row in rows)
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")
