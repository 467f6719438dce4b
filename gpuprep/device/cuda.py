"""The CUDA device of this process, through CuPy; one device, one driver and one gate per process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np

from gpuprep.device.driver import Bytes, Event, Stream
from gpuprep.device.link import Gate, Link
from gpuprep.kernels.loader import cuda_engine


def open_link(memory: float) -> Link:
    """A slot's link to the first visible device; cases take up to that share of its free memory together."""
    driver = _driver()
    return Link(driver, _gate(memory))


@cache
def _driver() -> CudaDriver:
    return CudaDriver()


@cache
def _gate(memory: float) -> Gate:
    return Gate(int(memory * _driver().free_memory()))


class CudaDriver:
    """A CUDA device through CuPy."""

    def __init__(self, number: int = 0) -> None:
        import cupy

        self._cupy = cupy
        self._number = number
        self.engine = cuda_engine()
        with self.attached():
            properties = cupy.cuda.runtime.getDeviceProperties(number)
            self.engine.compile()
        self.name = str(properties["name"].decode("utf-8", "replace"))

    def attached(self) -> AbstractContextManager[Any]:
        device: AbstractContextManager[Any] = self._cupy.cuda.Device(self._number)
        return device

    def free_memory(self) -> int:
        pool = self._cupy.get_default_memory_pool()
        with self.attached():
            return int(self._cupy.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())

    def release(self) -> None:
        with self.attached():
            self._cupy.get_default_memory_pool().free_all_blocks()

    def pinned(self, size: int) -> Bytes:
        cuda = self._cupy.cuda
        with self.attached():  # not from CuPy's pool, which keeps every size it ever gave
            pointer = cuda.PinnedMemoryPointer(cuda.PinnedMemory(size), 0)
        return np.frombuffer(pointer, np.uint8, size)

    def stream(self) -> Stream:
        with self.attached():
            stream: Stream = self._cupy.cuda.Stream(non_blocking=True)
        return stream

    def copy_in(self, source: Bytes, target: Any, offset: int) -> None:
        stream = self._cupy.cuda.get_current_stream()
        place = target.data + offset
        place.copy_from_host_async(source.ctypes.data, source.nbytes, stream)

    def copy_out(self, source: Any, offset: int, target: Bytes) -> None:
        stream = self._cupy.cuda.get_current_stream()
        place = source.data + offset
        place.copy_to_host_async(target.ctypes.data, target.nbytes, stream)

    def mark(self) -> Event:
        event = self._cupy.cuda.Event(disable_timing=True)
        event.record()
        mark: Event = event
        return mark

    def follow(self, stream: int) -> None:
        cuda = self._cupy.cuda
        event = cuda.Event(disable_timing=True)
        cuda.runtime.eventRecord(event.ptr, stream)
        cuda.get_current_stream().wait_event(event)

    def failed(self, error: BaseException) -> bool:
        """Any CUDA error but that of memory: contexts do not recover from them."""
        cuda = self._cupy.cuda
        return isinstance(error, (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError))
