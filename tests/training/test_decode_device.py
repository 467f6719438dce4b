"""Decoding on a real device: nvCOMP has what is used, results agree, and equal voxels would be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.cpucuda.machine import armed
from kernels.cuda_on_cpu.cpu_module import missing
from support.decoding import assert_same
from support.stored import voxels_of

from gpuprep.device.cuda import CudaDriver
from gpuprep.training import PatchDataset
from gpuprep.training.device import DeviceBatches

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")


def test_nvcomp_has_what_is_used() -> None:
    nvcomp = pytest.importorskip("nvidia.nvcomp", reason="nvCOMP is not installed")
    assert nvcomp.BitstreamKind.RAW.name == "RAW"
    signatures = (
        nvcomp.Codec.__init__.__doc__,
        nvcomp.Codec.decode.__doc__,
        nvcomp.as_arrays.__doc__,
    )
    words = ("algorithm", "bitstream_kind", "cuda_stream"), ("BatchArray", "out: object")
    wanted = (*words, ("buffer: object", "offsets: list[int]", "sizes: list[int]", "cuda_stream"))
    for text, names in zip(signatures, wanted, strict=True):
        assert not [name for name in names if name not in text]


@pytest.mark.gpu
def test_a_real_device_agrees(root: Path) -> None:
    cupy = pytest.importorskip("cupy")
    pytest.importorskip("nvidia.nvcomp")
    if armed():
        pytest.skip("nvCOMP's own kernels do not run over the CUDA stand-in")
    if not cupy.cuda.is_available():
        pytest.skip("no CUDA device answers through CuPy")

    def to_host(batch: dict[str, Any]) -> dict[str, Any]:
        labels = {name: cupy.asnumpy(each) for name, each in batch["labels"].items()}
        return batch | {"image": cupy.asnumpy(batch["image"]), "labels": labels}

    dataset = PatchDataset(root, patch=(40, 17, 33), samples=9, image_padding=-7, label_padding=9)
    assert_same(DeviceBatches(dataset, 4, CudaDriver(), deliver=to_host), dataset, 4)


def test_the_voxels_of_the_cohort_are_unlike(root: Path) -> None:
    """Otherwise a batch of wrong places could be equal."""
    image, label = voxels_of(1)
    assert len(np.unique(image)) == image.size
    assert set(np.unique(label)) == {0, 1, 2}
