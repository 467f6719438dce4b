"""How long a device takes: marks on its queue, and how fast it copies."""

from __future__ import annotations

import time
from typing import Any, Protocol

import numpy as np

_COPIES = 10


class Clock(Protocol):
    """Marks on a device's queue, and the seconds between two of them."""

    def mark(self) -> Any: ...

    def seconds(self, start: Any, stop: Any) -> float: ...

    def finish(self) -> None:
        """Wait until the device is idle."""


class WallClock:
    """For an engine that runs on the CPU."""

    def mark(self) -> float:
        return time.perf_counter()

    def seconds(self, start: float, stop: float) -> float:
        return stop - start

    def finish(self) -> None:
        pass


class CudaClock:
    """CUDA events on the current stream; raises where there is no CuPy or no device."""

    def __init__(self) -> None:
        import cupy

        self._cupy = cupy
        self.name = str(
            cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()
        )

    def mark(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def seconds(self, start: Any, stop: Any) -> float:
        return float(self._cupy.cuda.get_elapsed_time(start, stop)) / 1e3

    def finish(self) -> None:
        self._cupy.cuda.Device().synchronize()

    def copy_bandwidth(self, size: int = 1 << 30) -> float:
        """Bytes per second, read and written, of copies of ``size`` bytes from and to device memory."""
        source, target = (self._cupy.empty(size, np.uint8) for _ in range(2))
        return 2 * self._rate(lambda: target.data.copy_from_device_async(source.data, size), size)

    def host_bandwidth(self, size: int = 1 << 28) -> tuple[float, float]:
        """Bytes per second to the device and back, from and to ``size`` bytes of page-locked memory."""
        place = self._cupy.empty(size, np.uint8).data
        pinned = self._cupy.cuda.alloc_pinned_memory(size).ptr
        return (
            self._rate(lambda: place.copy_from_host_async(pinned, size), size),
            self._rate(lambda: place.copy_to_host_async(pinned, size), size),
        )

    def _rate(self, copy: Any, size: int) -> float:
        copy()
        start = self.mark()
        for _ in range(_COPIES):
            copy()
        stop = self.mark()
        self.finish()
        return size * _COPIES / self.seconds(start, stop)
