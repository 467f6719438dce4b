"""Batches through the real CuPy over the CUDA stand-in, read late by a training on a stream of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from device.cpucuda.machine import Machine
from support.decoding import assert_same
from support.nvcomp_stand_in import Codec, nvcomp_stand_in, reader_on

from gpuprep.device.cuda import CudaDriver
from gpuprep.training import PatchDataset
from gpuprep.training.device import DeviceBatches
from gpuprep.values.errors import DeviceLost

pytestmark = pytest.mark.cpucuda

PATCH = (12, 16, 24)
SEEDS = range(int(os.environ.get("GPUPREP_SEEDS") or 3))


@pytest.fixture
def nvcomp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp_stand_in())


def read_late(dataset: PatchDataset, size: int) -> list[dict[str, Any]]:
    """All batches of an epoch, by a training that drops each as soon as it has queued its work."""
    import cupy

    training = cupy.cuda.Stream(non_blocking=True)
    read = reader_on(training)

    def deliver(batch: Any) -> Any:
        if isinstance(batch, dict):
            return {name: deliver(part) for name, part in batch.items()}
        return read(batch) if isinstance(batch, cupy.ndarray) else batch

    consumer = lambda: training.ptr  # noqa: E731
    kept = list(DeviceBatches(dataset, size, CudaDriver(), consumer=consumer, deliver=deliver))
    training.synchronize()
    return kept


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("eager", [0, 2])
def test_a_training_that_reads_late_reads_what_the_dataset_has(
    root: Path, cpucuda: Machine, nvcomp: None, seed: int, eager: int
) -> None:
    cpucuda.set(seed=seed, eager=eager)
    dataset = PatchDataset(root, patch=PATCH, samples=14, image_padding=-7, label_padding=9)
    assert_same(read_late(dataset, 2), dataset, 2)


def test_errors_of_nvcomp_say_what_to_do(
    root: Path, nvcomp: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = DeviceBatches(PatchDataset(root, patch=PATCH), 2, CudaDriver())

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("nvcompErrorCannotDecompress")

    monkeypatch.setattr(Codec, "decode", refuse)
    with pytest.raises(DeviceLost, match=r"nvCOMP did not decode .*chunks: nvcompError"):
        list(batches)
