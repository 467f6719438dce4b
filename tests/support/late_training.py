"""A training that works on batches of a device on its own stream, late."""

from __future__ import annotations

from typing import Any

from gpuprep.device.cuda import CudaDriver
from gpuprep.training import PatchDataset
from gpuprep.training.device import DeviceBatches
from support.nvcomp_stand_in import reader_on


def read_late(dataset: PatchDataset, size: int, device: int = 0) -> list[dict[str, Any]]:
    """All batches of an epoch, by a training that drops each as soon as it has queued its work."""
    import cupy

    with cupy.cuda.Device(device):
        training = cupy.cuda.Stream(non_blocking=True)
    read = reader_on(training)

    def deliver(batch: Any) -> Any:
        if isinstance(batch, dict):
            return {name: deliver(part) for name, part in batch.items()}
        return read(batch) if isinstance(batch, cupy.ndarray) else batch

    consumer = lambda: training.ptr  # noqa: E731
    driver = CudaDriver(device)
    kept = list(DeviceBatches(dataset, size, driver, consumer=consumer, deliver=deliver))
    training.synchronize()
    return kept
