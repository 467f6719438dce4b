"""Small logits with plans, data sets and properties, by a seed: all axes, 2d, regions, ignore labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Drawn:
    """What nnU-Net's export of a prediction takes.

    Attributes:
        plans: As far as the export reads them.
        dataset: ``dataset.json``.
        configuration: The one configuration of the plans.
        properties: Of the case.
        logits: Of the network.
    """

    plans: dict[str, Any]
    dataset: dict[str, Any]
    configuration: str
    properties: dict[str, Any]
    logits: np.ndarray


def drawn(seed: int) -> Drawn:
    """A case; plain RandomState, so that every NumPy draws the same."""
    random = np.random.RandomState(seed)
    flat, regions, count = random.rand() < 0.25, random.rand() < 0.4, random.randint(2, 6)
    forward = [int(axis) for axis in random.permutation(3)]
    own = [float(mm) for mm in random.choice([0.5, 0.8, 1.0, 1.0, 2.5, 3.0, 5.0], 3)]
    target = [float(mm) for mm in random.choice([0.5, 0.8, 1.0, 1.3, 2.5, 4.0], 3)]
    turned = [own[axis] for axis in forward]
    steps = [turned[0], *target[1:]] if flat else target
    cropped, before, after = (
        random.randint(low, high, 3) for low, high in ((1, 20), (0, 4), (0, 4))
    )
    shape = [max(1, round(a / b * int(n))) for a, b, n in zip(turned, steps, cropped, strict=True)]
    kind = ("float16", "float32")[random.randint(2)]
    logits = random.standard_normal((count if regions else count + 1, *shape))
    logits = (logits * (1e-3, 1, 8)[random.randint(3)]).astype(kind)
    if random.rand() < 0.3:
        logits = np.round(logits)  # many of them equal
    properties = {
        "spacing": own,
        "bbox_used_for_cropping": [
            [int(a), int(a + n)] for a, n in zip(before, cropped, strict=True)
        ],
        "shape_before_cropping": tuple(map(int, before + cropped + after)),
        "shape_after_cropping_and_before_resampling": tuple(map(int, cropped)),
    }
    name = "2d" if flat else "3d_fullres"
    plans = _plans(name, target[1:] if flat else target, forward)
    return Drawn(plans, _dataset(count, regions, random.rand() < 0.3), name, properties, logits)


def _plans(name: str, spacing: list[float], forward: list[int]) -> dict[str, Any]:
    how = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    function = "resample_data_or_seg_to_shape"
    configuration = {
        "data_identifier": f"nnUNetPlans_{name}",
        "architecture": {},
        "spacing": spacing,
        "resampling_fn_probabilities": function,
        "resampling_fn_probabilities_kwargs": how,
    }
    return {
        "plans_name": "nnUNetPlans",
        "transpose_forward": forward,
        "transpose_backward": [forward.index(axis) for axis in range(3)],
        "foreground_intensity_properties_per_channel": {},
        "label_manager": "LabelManager",
        "configurations": {name: configuration},
    }


def _dataset(count: int, regions: bool, ignores: bool) -> dict[str, Any]:
    values = range(1, count + 1)
    labels: dict[str, Any] = {"background": 0}
    if regions:
        labels |= {f"from {k}": list(range(k, count + 1)) if k < count else k for k in values}
    else:
        labels |= {f"label {k}": k for k in values}
    if ignores:
        labels["ignore"] = count + 1
    order = {"regions_class_order": list(values)} if regions else {}
    fields = {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 5, **order}
    return {**fields, "file_ending": ".nii.gz"}
