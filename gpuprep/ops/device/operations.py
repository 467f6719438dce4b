"""The CUDA engine behind ``Operations``: uploads, kernels, downloads, and what to do when memory is short.

A step that finds the device full is tried again after memory kept for reuse was given back, and after
that done by NumPy. What was done otherwise than asked is told in ``fallbacks``.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.device.link import Link
from gpuprep.geometry import Shape
from gpuprep.grids import GridMapping
from gpuprep.ops.device.arguments import SOURCES
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device
from gpuprep.ops.operations import Held, HostOperations, Mask, Resampling
from gpuprep.ops.statistics import Distribution

Array = NDArray[Any]

_FLOAT_BYTES = 4


def device_bytes(shape: Shape, itemsize: int, target: Shape, *, channels: int = 1) -> int:
    """Device memory that a case needs at most: its channels, two float32 volumes between passes, a result."""
    larger = [max(n, m) for n, m in zip(shape, target, strict=True)]
    between = 2 * _FLOAT_BYTES * math.prod(sorted(larger)[1:]) * min(max(shape), max(target))
    return channels * math.prod(shape) * itemsize + between + _FLOAT_BYTES * math.prod(target)


class DeviceOperations:
    """CUDA kernels over a slot's link, inside one of its sessions."""

    backend: Literal["numpy", "cupy"] = "cupy"

    def __init__(self, link: Link, host: HostOperations) -> None:
        self._link = link
        self._host = host
        self.scratch = host.scratch
        self.fallbacks: list[str] = []

    def hold(self, array: Array) -> Held:
        if array.dtype.kind != "b" and array.dtype not in SOURCES:
            self._fall_back(f"kernels do not read {array.dtype}")
            return Held(array)
        for _ in range(2):
            try:
                return Held(array, self._link.upload(array))
            except MemoryError:
                self._link.release()
        self._fall_back("the device has no room for the volume")
        return Held(array)

    def measure(self, held: Held, mask: Mask | None = None) -> Distribution:
        if held.device is None:
            return self._host.measure(held, mask)
        for _ in range(2):
            try:
                flags = None if mask is None else self._link.upload(mask)
                return measure_device(self._link.engine, held.device, flags)
            except MemoryError:
                self._link.release()
        self._fall_back("the device has no room to measure")
        return self._host.measure(held, mask)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if not self.scratch.fits(size):
            return self.scratch.empty(shape, dtype)
        return self._link.empty(shape, dtype)

    def resample(self, held: Held, how: Resampling, out: Array) -> None:
        for _ in range(2):
            if held.device is None:
                break
            try:
                done = resample_device(
                    self._link.engine, held.device, how.mapping, **how.keywords(), dtype=out.dtype
                )
                self._link.download(done, out)
                return
            except MemoryError:
                self._link.release()
        else:
            self._fall_back("the device has no room to resample")
        self._host.resample(held, how, out)

    def resample_labels(
        self,
        label: Array,
        mapping: GridMapping,
        *,
        interpolation: Literal["nearest", "linear"],
        separate_axis: int | None,
    ) -> Array:
        for _ in range(2):
            try:
                done = resample_labels_device(
                    self._link.engine,
                    self._link.upload(label),
                    mapping,
                    interpolation=interpolation,
                    separate_axis=separate_axis,
                )
                out = self.empty(done.shape, done.dtype)
                self._link.download(done, out)
                return out
            except MemoryError:
                self._link.release()
        self._fall_back("the device has no room for a label map")
        return self._host.resample_labels(
            label, mapping, interpolation=interpolation, separate_axis=separate_axis
        )

    def wait(self) -> None:
        self._link.wait()

    def _fall_back(self, reason: str) -> None:
        if reason not in self.fallbacks:
            self.fallbacks.append(reason)
