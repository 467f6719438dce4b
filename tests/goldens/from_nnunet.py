"""Goldens by nnU-Net v2's own functions: whole cases, and tables of its small decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from content import Array, content, head, structures
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask, crop_to_nonzero
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    determine_do_sep_z_and_axis,
    resample_data_or_seg,
    resample_data_or_seg_to_shape,
)
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

CT = {"mean": 80.0, "std": 140.0, "percentile_00_5": -600.0, "percentile_99_5": 400.0}
CHAINS: dict[str, dict[str, Any]] = {
    "ct": {"schemes": ["CTNormalization"], "masked": [False]},
    "zscore": {"schemes": ["ZScoreNormalization"], "masked": [False]},
    "masked": {"schemes": ["ZScoreNormalization"], "masked": [True]},
    "two": {"schemes": ["ZScoreNormalization"] * 2, "masked": [False] * 2},
}
# name: (shape, spacing, target spacing), all z, y, x, and the chain
NNUNET: dict[str, tuple[tuple[int, int, int], tuple[float, ...], tuple[float, ...], str]] = {
    "ct_3d": ((21, 33, 29), (2.4, 0.8, 0.8), (1.5, 1.0, 1.0), "ct"),
    "ct_3d_finer": ((17, 19, 23), (1.5, 1.5, 1.5), (1.1, 1.2, 1.3), "ct"),
    "ct_halved": ((22, 30, 26), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), "ct"),
    "ct_doubled": ((11, 15, 13), (2.0, 2.0, 2.0), (1.0, 1.0, 1.0), "ct"),
    "ct_separate_z": ((13, 37, 31), (2.5, 0.8, 0.8), (1.5, 1.0, 1.0), "ct"),
    "ct_separate_y": ((31, 12, 27), (0.9, 5.0, 0.8), (1.0, 3.0, 1.0), "ct"),
    "ct_separate_x": ((29, 35, 11), (0.7, 0.8, 3.0), (1.0, 1.0, 3.0), "ct"),
    "ct_separate_target": ((33, 21, 23), (1.0, 1.0, 1.0), (4.0, 0.8, 0.9), "ct"),
    "ct_shared_coarsest": ((31, 17, 15), (0.24, 1.25, 1.25), (0.5, 1.0, 1.0), "ct"),
    "mr_zscore": ((23, 31, 27), (1.3, 0.9, 1.1), (1.0, 1.0, 1.0), "zscore"),
    "mr_masked": ((23, 31, 27), (1.3, 0.9, 1.1), (1.0, 1.0, 1.0), "masked"),
    "mr_masked_separate": ((12, 36, 33), (4.0, 0.9, 1.1), (3.0, 1.0, 1.0), "masked"),
    "mr_two_channels": ((15, 26, 22), (1.3, 0.9, 1.1), (1.6, 1.1, 1.0), "two"),
}


def plans(chain: str, target: tuple[float, ...]) -> PlansManager:
    """The parts of an nnU-Net plans file that preprocessing reads, at their defaults."""
    resampling = {"order_z": 0, "force_separate_z": None}
    configuration = {
        "preprocessor_name": "DefaultPreprocessor",
        "spacing": list(target),
        "normalization_schemes": CHAINS[chain]["schemes"],
        "use_mask_for_norm": CHAINS[chain]["masked"],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
        "architecture": {},
    }
    return PlansManager(
        {
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {"0": CT, "1": CT},
            "configurations": {"3d_fullres": configuration},
        }
    )


def nnunet_cases() -> tuple[dict[str, Array], dict[str, Any]]:
    """Whole cases by ``DefaultPreprocessor.run_case_npy``, and their segmentations as they were resampled."""
    arrays: dict[str, Array] = {}
    described: dict[str, Any] = {}
    for seed, (name, (shape, spacing, target, chain)) in enumerate(NNUNET.items()):
        channels = len(CHAINS[chain]["schemes"])
        image = content(shape, seed)[None] if chain == "ct" else head(shape, channels, 100 + seed)
        # a label beyond the non-zero region would count as foreground: nnU-Net's mask is seg >= 0
        labels = structures(shape, 200 + seed)[None] * create_nonzero_mask(image)
        manager = plans(chain, target)
        labels_json = {"labels": {"background": 0, **{str(k): k for k in range(1, 5)}}}
        done, segmentation, properties = DefaultPreprocessor(verbose=False).run_case_npy(
            image.astype(np.float32),
            labels,
            {"spacing": list(spacing)},
            manager,
            manager.get_configuration("3d_fullres"),
            {**labels_json, "file_ending": ".nii.gz"},
        )
        cropped = crop_to_nonzero(image.copy(), labels.copy())[1]
        found = {"image": image, "label": labels[0], "cropped_label": cropped[0]}
        results = {"stored_image": done, "stored_label": segmentation[0]}
        arrays |= {f"{name}/{key}": value for key, value in {**found, **results}.items()}
        box = [[int(edge) for edge in edges] for edges in properties["bbox_used_for_cropping"]]
        described[name] = {
            "spacing": spacing,
            "target": target,
            "chain": chain,
            "box": box,
            "separate_axis": separate(None, spacing, target),
        }
    return arrays, described


def separate(force: bool | None, current: Sequence[float], wanted: Sequence[float]) -> int | None:
    axis = determine_do_sep_z_and_axis(force, current, wanted)[1]
    return None if axis is None else int(axis)


def nnunet_rules() -> dict[str, Array]:
    """Tables of the small decisions: shapes, separate axes, slice indices, segmentations of noise."""
    random = np.random.default_rng(7)
    steps = np.array([0.3, 0.5, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 5.0])
    lengths = random.integers(1, 700, 6000)
    own, target = random.choice(steps, 6000), random.choice(steps, 6000)
    own[:2000], target[:2000] = random.uniform(0.3, 5, (2, 2000))
    shapes = [
        compute_new_shape([n], [s], [t])[0] for n, s, t in zip(lengths, own, target, strict=True)
    ]
    current, wanted = random.choice(steps, (2, 800, 3))
    current[:200], wanted[:200] = random.uniform(0.3, 5, (2, 200, 3))
    special = [
        [2.4, 0.8, 0.8],
        [2.5, 0.8, 0.8],
        [0.24, 1.25, 1.25],
        [3.0, 1.0, 1.0],
        [1.0, 1.0, 1.0],
    ]
    current[200:205] = special
    axes = [
        [-1 if axis is None else axis for axis in (separate(None, a, b), separate(True, a, b))]
        for a, b in zip(current, wanted, strict=True)
    ]
    return {
        "shape/length": lengths.astype(np.int16),
        "shape/own": own,
        "shape/target": target,
        "shape/result": np.array(shapes, np.int16),
        "axis/own": current,
        "axis/target": wanted,
        "axis/auto_always": np.array(axes, np.int8),
        "slices/picks": slice_picks(),
        **noise_segmentations(random),
    }


def slice_picks(most: int = 48) -> Array:
    """Which slice each output slice copies, for every pair of lengths up to ``most``, one after the other."""
    rows = []
    for n in range(1, most + 1):
        slices = np.arange(n, dtype=np.float32).reshape(1, n, 1, 1) * np.ones((1, 1, 2, 2))
        for m in range(1, most + 1):
            done = resample_data_or_seg(slices, (m, 2, 2), False, 0, 3, True, 0)
            rows.append(np.rint(done[0, :, 0, 0]))
    return np.concatenate(rows).astype(np.uint8)


def noise_segmentations(random: np.random.Generator) -> dict[str, Array]:
    """Five labels in pure noise, where ties and meetings of many labels are everywhere."""
    arrays = {}
    cases = {
        "doubled": ((9, 10, 11), (18, 20, 22), (1, 1, 1)),
        "halved": ((18, 20, 22), (9, 10, 11), (1, 1, 1)),
        "thirds": ((12, 15, 9), (8, 10, 27), (1, 1, 1)),
        "generic": ((13, 17, 14), (17, 11, 19), (1, 1, 1)),
        "separate_z": ((9, 16, 14), (14, 24, 11), (5, 1, 1)),
        "separate_y": ((16, 9, 14), (24, 6, 28), (1, 5, 1)),
        "separate_x": ((15, 14, 8), (10, 21, 20), (1, 1, 5)),
    }
    for name, (shape, out, spacing) in cases.items():
        labels = random.integers(-1, 4, (1, *shape)).astype(np.int8)
        done = resample_data_or_seg_to_shape(
            labels, out, spacing, (1, 1, 1), is_seg=True, order=1, order_z=0, force_separate_z=None
        )
        arrays |= {f"noise/{name}/label": labels[0], f"noise/{name}/result": done[0]}
    return arrays


def nnunet_boxes() -> dict[str, Array]:
    """Boxes of ``crop_to_nonzero``: one voxel, a hollow shell, negative values, two channels, nothing."""
    images = np.zeros((6, 2, 7, 9, 8), np.int16)
    images[0, 0, 3, 4, 5] = 1
    images[1, 0, 1:6, 2:8, 1:7] = 5
    images[1, 0, 2:5, 3:7, 2:6] = 0
    images[2, 0, 2:4, 0:3, 5:] = -7
    images[3, 0, 1, 1, 1] = images[3, 1, 5, 6, 7] = 2
    images[5] = 3
    boxes = [crop_to_nonzero(image.copy())[2] for image in images]
    return {"crop/images": images, "crop/boxes": np.array(boxes, np.int16)}
