"""nnU-Net v2: its own preprocessor and its own storage (``.b2nd``), one process, default resampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

from paths import Stages, Task, Work

_RESAMPLING = {"order_z": 0, "force_separate_z": None}


def prepare(task: Task) -> Work:
    torch.set_num_threads(task.threads)
    plans = _plans(task)
    configuration = plans.get_configuration("3d_fullres")
    names = {"background": 0, **{f"label {k}": k for k in task.options["labels"]}}
    dataset = {"labels": names, "file_ending": ".nii.gz", "channel_names": {"0": "CT"}}
    preprocessor = DefaultPreprocessor(verbose=False)

    def work() -> Stages:
        truncated = str(Path(task.folder) / "case")
        files = [task.image], task.label
        preprocessor.run_case_save(truncated, *files, plans, configuration, dataset)
        return {}

    return work


def stored(task: Task) -> tuple[np.ndarray, np.ndarray]:
    image, label, *_ = nnUNetDatasetBlosc2(task.folder).load_case("case")
    return np.asarray(image[0]), np.asarray(label[0])


def _plans(task: Task) -> PlansManager:
    """The parts of a plans file that preprocessing reads, at their defaults."""
    low, high = task.clip
    moments = {"mean": task.options["mean"], "std": task.options["std"]}
    properties = {**moments, "percentile_00_5": low, "percentile_99_5": high}
    function = "resample_data_or_seg_to_shape"
    configuration: dict[str, Any] = {
        "preprocessor_name": "DefaultPreprocessor",
        "spacing": list(task.spacing[::-1]),
        "patch_size": [128, 128, 128],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": function,
        "resampling_fn_seg": function,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **_RESAMPLING},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **_RESAMPLING},
        "architecture": {},
    }
    return PlansManager(
        {
            "image_reader_writer": "SimpleITKIO",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {"0": properties},
            "configurations": {"3d_fullres": configuration},
        }
    )
