"""The CUDA device of this process, through CuPy; one device, one driver and one gate per process."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any

import numpy as np

from gpuprep.device.driver import Bytes, Event, Failure, Stream
from gpuprep.device.link import Gate, Link
from gpuprep.kernels.loader import cuda_engine

SHARERS = "GPUPREP_DEVICE_SHARERS"
"""Environment variable: how many processes of a run share this process's device (1 where it is not set)."""

_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation, CUDA_ERROR_OUT_OF_MEMORY

# Statuses (the runtime's and the driver's are the same numbers) after which a context is of no use: no
# device, or one taken away (46, 100, 101, 201), uncorrectable memory and links (214, 220, 226), a kernel that
# ran wild or too long (700, 702, 710, 714 to 720), no driver or another one (802 to 804), unknown (999).
_LOST = {4, 46, 100, 101, 201, 214, 220, 226, 700, 702, 710, *range(714, 721), 802, 803, 804, 999}


class CudaDriver:
    """A CUDA device through CuPy."""

    def __init__(self, number: int = 0) -> None:
        """Open the device and load every kernel.

        Raises ImportError without CuPy, and what CUDA and NVRTC say (RuntimeError) where they do not work.
        """
        import cupy

        self._cupy = cupy
        self._number = number
        self.lost = ""
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

    def total_memory(self) -> int:
        with self.attached():
            return int(self._cupy.cuda.runtime.memGetInfo()[1])

    def release(self) -> None:
        with self.attached():
            self._cupy.get_default_memory_pool().free_all_blocks()

    def pinned(self, size: int) -> Bytes:
        cuda = self._cupy.cuda
        try:
            with self.attached():  # not from CuPy's pool, which keeps every size it ever gave
                pointer = cuda.PinnedMemoryPointer(cuda.PinnedMemory(size), 0)
        except cuda.runtime.CUDARuntimeError as error:
            if error.status != _OUT_OF_MEMORY:
                raise
            raise MemoryError(f"{size:,} bytes of page-locked memory cannot be had") from error
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

    def mark(self, stream: int | None = None) -> Event:
        cuda = self._cupy.cuda
        event = cuda.Event(block=True, disable_timing=True)  # who waits sleeps
        target = cuda.get_current_stream().ptr if stream is None else stream
        cuda.runtime.eventRecord(event.ptr, target)
        mark: Event = event
        return mark

    def follow(self, mark: Event) -> None:
        self._cupy.cuda.get_current_stream().wait_event(mark)

    def failure(self, error: BaseException) -> Failure:
        cuda = self._cupy.cuda
        if not isinstance(error, (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError)):
            return ""
        return "device" if error.status in _LOST else "step"


_opening = RLock()  # slots begin together: one of them opens the device, the others find it open
_opened: list[CudaDriver | Exception] = []
_gates: dict[float, Gate] = {}


def open_link(memory: float) -> Link:
    """A slot's link to the first visible device; cases take up to that share of its memory together.

    Processes that share the device (``SHARERS``) divide it. A device that did not open is not tried again.

    Raises whatever CuPy, CUDA and NVRTC said when it was opened.
    """
    with _opening:
        driver = _driver()
        if memory not in _gates:
            own = driver.total_memory() // max(1, int(os.environ.get(SHARERS) or 1))
            _gates[memory] = Gate(int(memory * min(driver.free_memory(), own)))
        return Link(driver, _gates[memory])


def _driver() -> CudaDriver:
    if not _opened:
        try:
            _opened.append(CudaDriver())
        except Exception as error:
            _opened.append(error)
    (found,) = _opened
    if isinstance(found, Exception):
        raise found
    return found
