"""A device without a GPU: the kernels on the CPU, NumPy arrays under a byte budget, and copies that wait.

Copies are queued, and done only when something waits for them or a kernel runs, as late as a real device
may do them: memory that is used again too early gives wrong voxels here, too.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
from kernels.kernel_engines import cpu_engine

from gpuprep.device.driver import Failure
from gpuprep.kernels.loader import Engine


class BrokenContext(Exception):
    """Stands for a CUDA error after which a context is of no use."""


class RefusedStep(Exception):
    """Stands for a CUDA error that concerns one call alone."""


class NumpyDriver:
    """``gpuprep.device.driver.Driver`` in NumPy; ``room`` is the device's memory in bytes."""

    name = "NumPy"

    def __init__(self, room: int = 1 << 40) -> None:
        self.arrays = _Budgeted(room)
        self.engine = _Queued(self, cpu_engine())
        self.releases = 0
        self.pinned_bytes = 0
        self.lost = ""
        self.pinned_limit: int | None = None
        self.failing_after: int | None = None
        self.error: type[Exception] = BrokenContext
        self._queue: list[Callable[[], None]] = []
        self.lock = threading.RLock()  # the kernels' fibers belong to one thread at a time

    def flush(self) -> None:
        with self.lock:
            self._flush()

    def _flush(self) -> None:
        if self.failing_after is not None:
            self.failing_after -= 1
            if self.failing_after < 0:
                raise self.error("an illegal memory access was encountered")
        queued, self._queue = self._queue, []
        for copy in queued:
            copy()

    def free_memory(self) -> int:
        return self.arrays.room - self.arrays.live

    def total_memory(self) -> int:
        return self.arrays.room

    def release(self) -> None:
        self.releases += 1

    def pinned(self, size: int) -> np.ndarray:
        if self.pinned_limit is not None and self.pinned_bytes + size > self.pinned_limit:
            raise MemoryError(f"{size:,} bytes of page-locked memory cannot be had")
        memory = np.full(size, 0xCB, np.uint8)
        self.pinned_bytes += size
        weakref.finalize(memory, self._unpinned, size)
        return memory

    def _unpinned(self, size: int) -> None:
        self.pinned_bytes -= size

    def stream(self) -> Any:
        return _Stream(self)

    def copy_in(self, source: np.ndarray, target: Any, offset: int) -> None:
        assert target.flags.c_contiguous
        place = target.reshape(-1).view(np.uint8)[offset : offset + source.nbytes]
        self._later(lambda: np.copyto(place, source))

    def copy_out(self, source: Any, offset: int, target: np.ndarray) -> None:
        assert source.flags.c_contiguous
        place = source.reshape(-1).view(np.uint8)[offset : offset + target.nbytes]
        self._later(lambda: np.copyto(target, place))

    def _later(self, copy: Callable[[], None]) -> None:
        with self.lock:
            self._queue.append(copy)

    def mark(self, stream: int | None = None) -> Any:
        return _Stream(self)

    def follow(self, mark: Any) -> None:
        pass  # there is one queue

    def attached(self) -> Any:
        return nullcontext()

    def failure(self, error: BaseException) -> Failure:
        if isinstance(error, RefusedStep):
            return "step"
        return "device" if isinstance(error, BrokenContext) else ""


class _Stream:
    """A stream, or a mark in it: waiting does everything queued so far."""

    def __init__(self, driver: NumpyDriver) -> None:
        self._driver = driver

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def synchronize(self) -> None:
        self._driver.flush()


class _Queued(Engine):
    """Kernels that run after the copies queued before them."""

    def __init__(self, driver: NumpyDriver, engine: Engine) -> None:
        def to_host(array: Any) -> np.ndarray:
            driver.flush()
            return engine.to_host(array)

        super().__init__(
            driver.arrays, engine._load, to_host, engine.shared_bytes, threading.get_ident
        )
        self._driver = driver

    def launch(self, *arguments: Any, **more: Any) -> None:
        with self._driver.lock:
            self._driver.flush()
            super().launch(*arguments, **more)


class _Budgeted:
    """Allocates as NumPy does, until the room is used up."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.live = self.peak = 0

    def empty(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        array = np.empty(shape, dtype)
        if self.live + array.nbytes > self.room:
            raise MemoryError(f"out of device memory: {array.nbytes:,} bytes")
        self.live += array.nbytes
        self.peak = max(self.peak, self.live)
        weakref.finalize(array, self._dropped, array.nbytes)
        array.reshape(-1).view(np.uint8)[...] = 0xCB
        return array

    def _dropped(self, size: int) -> None:
        self.live -= size

    def zeros(self, shape: Any, dtype: Any = np.float64) -> np.ndarray:
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def asarray(self, array: Any) -> np.ndarray:
        copied = self.empty(np.shape(array), np.asarray(array).dtype)
        copied[...] = array
        return copied
