"""Batches to decode on a device, and how they are compared with the dataset."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuprep.training import PatchDataset


def assert_same(batches: Any, dataset: PatchDataset, size: int) -> None:
    """All batches of the epoch are what the samples of the dataset are."""
    keys = dataset.keys()
    seen = 0
    for batch in batches:
        samples = [dataset[key] for key in keys[seen : seen + size]]
        seen += len(samples)
        assert batch["case"] == [sample["case"] for sample in samples]
        for name in ("start", "epoch", "number"):
            assert np.asarray(batch[name]).tolist() == [
                np.asarray(sample[name]).tolist() for sample in samples
            ]
        assert_equal(batch.get("image"), [s["image"] for s in samples if "image" in s])
        for name in dataset.labels:
            assert_equal(batch["labels"][name], [sample["labels"][name] for sample in samples])
    assert seen == len(keys)


def assert_equal(made: Any, wanted: list[np.ndarray]) -> None:
    if not wanted:
        assert made is None
        return
    assert made.dtype == wanted[0].dtype
    assert made.shape == (len(wanted), *wanted[0].shape)
    assert made.tobytes() == np.stack(wanted).tobytes()
