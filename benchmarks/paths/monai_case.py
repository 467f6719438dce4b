"""MONAI: the usual dictionary transforms at their defaults, saved uncompressed with ``numpy.save``."""

from __future__ import annotations

from pathlib import Path

import monai.transforms as transforms
import numpy as np
import torch

from paths import Stages, Stopwatch, Task, Work

_KEYS = ("image", "label")


def prepare(task: Task) -> Work:
    torch.set_num_threads(task.threads)
    low, high = task.clip
    pipeline = {
        "read": transforms.LoadImaged(_KEYS),
        "channel": transforms.EnsureChannelFirstd(_KEYS),
        "orient": transforms.Orientationd(_KEYS, axcodes="RAS", labels=None),
        "resample": transforms.Spacingd(_KEYS, pixdim=task.spacing, mode=("bilinear", "nearest")),
        "rescale": transforms.ScaleIntensityRanged("image", low, high, 0.0, 1.0, clip=True),
    }

    def work() -> Stages:
        watch = Stopwatch()
        case = {"image": task.image, "label": task.label}
        for stage, transform in pipeline.items():
            case = transform(case)
            watch(stage)
        for key, kind in (("image", np.float32), ("label", np.uint8)):
            np.save(Path(task.folder) / f"{key}.npy", case[key].numpy()[0].astype(kind, copy=False))
        watch("store")
        return watch.stages

    return work


def stored(task: Task) -> tuple[np.ndarray, np.ndarray]:
    image, label = (np.load(Path(task.folder) / f"{key}.npy") for key in _KEYS)
    return image.T, label.T
