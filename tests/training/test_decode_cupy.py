"""Batches through the real CuPy over the CUDA stand-in, read late by a training on a stream of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from device.cpucuda.machine import Machine
from support.decoding import assert_same
from support.device_cases import SEEDS
from support.late_training import read_late
from support.nvcomp_stand_in import Codec, nvcomp_stand_in
from support.stored import store_unlike_labels

from gpuprep.device.cuda import CudaDriver
from gpuprep.training import PatchDataset
from gpuprep.training.device import DeviceBatches
from gpuprep.values.errors import DeviceLost

pytestmark = pytest.mark.cpucuda

PATCH = (12, 16, 24)


@pytest.fixture
def nvcomp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp_stand_in())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("eager", [0, 2])
def test_a_training_that_reads_late_reads_what_the_dataset_has(
    root: Path, cpucuda: Machine, nvcomp: None, seed: int, eager: int
) -> None:
    cpucuda.set(seed=seed, eager=eager)
    dataset = PatchDataset(root, patch=PATCH, samples=14, image_padding=-7, label_padding=9)
    assert_same(read_late(dataset, 2), dataset, 2)


@pytest.mark.parametrize("padding", [0, -1, 77_000])
def test_label_maps_of_unlike_dtypes(
    tmp_path: Path, cpucuda: Machine, nvcomp: None, padding: int
) -> None:
    store_unlike_labels(tmp_path)
    dataset = PatchDataset(tmp_path, patch=(8, 12, 9), samples=9, label_padding=padding)
    assert_same(read_late(dataset, 4), dataset, 4)
    assert cpucuda.counts()["ran convert_integers"]
    assert not [name for name in cpucuda.counts() if name.startswith("ran cupy_")]


def test_batches_on_another_device_than_the_first(root: Path, nvcomp: None) -> None:
    dataset = PatchDataset(root, patch=PATCH, samples=5)
    assert_same(read_late(dataset, 2, device=1), dataset, 2)


def test_errors_of_nvcomp_say_what_to_do(
    root: Path, nvcomp: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = DeviceBatches(PatchDataset(root, patch=PATCH), 2, CudaDriver())

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("nvcompErrorCannotDecompress")

    monkeypatch.setattr(Codec, "decode", refuse)
    with pytest.raises(DeviceLost, match=r"nvCOMP did not decode .*chunks: nvcompError"):
        list(batches)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("call", ["kernel", "host function", "cudaEventRecord", "cudaMemcpyAsync"])
def test_a_device_that_is_lost_says_so_wherever_it_is_noticed(
    root: Path, cpucuda: Machine, nvcomp: None, call: str
) -> None:
    dataset = PatchDataset(root, patch=PATCH, samples=8)
    batches = DeviceBatches(dataset, 2, CudaDriver())
    cpucuda.fail(call, "cudaErrorIllegalAddress")
    with pytest.raises(DeviceLost, match="Imaginary stopped working"):
        list(batches)
    cpucuda.complaints()
