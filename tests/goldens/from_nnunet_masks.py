"""Goldens by nnU-Net v2 of what lies outside its mask, of channels that differ, and of transposed axes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from content import Array, content, head, structures
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

CT, MR, NONE, UNIT, RGB = (
    f"{name}Normalization" for name in ("CT", "ZScore", "No", "RescaleTo01", "RGBTo01")
)
NUMBERS = {"mean": 80.0, "std": 140.0, "percentile_00_5": -600.0, "percentile_99_5": 400.0}
# name: (shape, spacing, target spacing of the transposed axes, transpose_forward, schemes, masked)
MASKS: dict[str, tuple[Any, ...]] = {
    "labelled_outside": ((15, 21, 18), (1.3, 0.9, 1.1), (1.0, 1.0, 1.0), (0, 1, 2), [MR], [True]),
    "halved": ((16, 20, 18), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (0, 1, 2), [MR], [True]),
    "doubled": ((9, 11, 10), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0), (0, 1, 2), [MR], [False]),
    "thick": ((7, 26, 24), (4.0, 0.9, 1.1), (3.0, 1.0, 1.0), (0, 1, 2), [MR, MR], [True] * 2),
    "sagittal": (
        (19, 23, 8),
        (0.9, 1.1, 4.0),
        (3.1, 1.0, 1.2),
        (2, 0, 1),
        [CT, MR, NONE],
        [False, True, False],
    ),
    "slices": ((8, 24, 22), (4.0, 0.9, 1.1), (1.0, 1.3), (0, 1, 2), [UNIT, RGB], [False, False]),
    "sagittal_slices": (
        (19, 23, 8),
        (0.9, 1.1, 4.0),
        (1.0, 1.2),
        (2, 0, 1),
        [NONE, MR],
        [False, True],
    ),
    "many_labels": ((13, 17, 15), (1.3, 0.9, 1.1), (1.0, 1.0, 1.0), (0, 1, 2), [CT], [False]),
}


def plans_of(name: str) -> dict[str, Any]:
    """The parts of a plans file that preprocessing reads."""
    _, _, target, forward, schemes, masked = MASKS[name]
    resampling = {"order_z": 0, "force_separate_z": None}
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "spacing": list(target),
        "normalization_schemes": schemes,
        "use_mask_for_norm": masked,
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
        "architecture": {},
    }
    return {
        "transpose_forward": list(forward),
        "transpose_backward": np.argsort(forward).tolist(),
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(channel): NUMBERS for channel in range(len(schemes))
        },
        "configurations": {"2d" if len(target) == 2 else "3d_fullres": configuration},
    }


def drawn(name: str, seed: int) -> tuple[Array, Array]:
    """Channels that are zero around a head with cavities, and labels that reach beyond it."""
    shape, _, _, _, schemes, _ = MASKS[name]
    images = head(shape, len(schemes), 400 + seed)
    inside = images.any(0)
    for channel, scheme in zip(images, schemes, strict=True):
        if scheme in (CT, NONE):
            channel[...] = np.where(inside, content(shape, 500 + seed), 0)
        if scheme == RGB:
            channel[...] = channel % 256
    labels = structures(shape, 600 + seed).astype(np.int16)
    labels[np.random.default_rng(seed).random(shape) < 0.6] = 0
    return images, labels * 60 if name == "many_labels" else labels


def nnunet_masks() -> tuple[dict[str, Array], dict[str, Any]]:
    """Whole cases by ``DefaultPreprocessor.run_case_npy``, in nnU-Net's order of the axes."""
    arrays: dict[str, Array] = {}
    described: dict[str, Any] = {}
    for seed, name in enumerate(MASKS):
        plans, spacing = plans_of(name), MASKS[name][1]
        (configuration,) = plans["configurations"]
        image, label = drawn(name, seed)
        manager = PlansManager(plans)
        values = sorted(set(np.unique(label).tolist()) - {0})
        done, segmentation, properties = DefaultPreprocessor(verbose=False).run_case_npy(
            image.astype(np.float32),
            label[None],
            {"spacing": list(spacing)},
            manager,
            manager.get_configuration(configuration),
            {
                "labels": {"background": 0, **{f"l{k}": k for k in values}},
                "file_ending": ".nii.gz",
            },
        )
        found = {"image": image, "label": label}
        results = {"stored_image": done, "stored_label": segmentation[0]}
        arrays |= {f"{name}/{key}": value for key, value in {**found, **results}.items()}
        box = [[int(edge) for edge in edges] for edges in properties["bbox_used_for_cropping"]]
        described[name] = {"spacing": spacing, "plans": json.dumps(plans), "box": json.dumps(box)}
    return arrays, described
