"""TorchIO: ToCanonical, Clamp, RescaleIntensity, Resample, saved uncompressed with ``numpy.save``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchio

from paths import Stages, Stopwatch, Task, Work

_KEYS = ("image", "label")


def prepare(task: Task) -> Work:
    torch.set_num_threads(task.threads)
    pipeline = {
        "orient": torchio.ToCanonical(),
        "resample": torchio.Resample(task.spacing, image_interpolation="linear"),
        "clip": torchio.Clamp(*task.clip),
        "rescale": torchio.RescaleIntensity((0, 1), in_min_max=task.clip),
    }

    def work() -> Stages:
        watch = Stopwatch()
        image, label = torchio.ScalarImage(task.image), torchio.LabelMap(task.label)
        case = torchio.Subject(image=image, label=label)
        case.load()
        watch("read")
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
