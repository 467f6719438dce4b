"""The few CUDA calls that gpuprep needs beside its kernels: memory, streams, copies, and what errors mean.

``device.cuda`` fills this narrow surface with CuPy. Tests fill it with NumPy and the kernels on the CPU, so
that everything above it runs without a GPU.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.values.errors import DeviceFailure, DeviceLost

Bytes = NDArray[np.uint8]

Failure = Literal["", "step", "device"]
"""What an error means: nothing to the device, that it did not do one step, or that it is lost."""


class Event(Protocol):
    """A point in a stream that the host can wait for, without keeping a core busy."""

    def synchronize(self) -> None: ...


class Stream(Protocol):
    """A queue of work on the device; entered, it is the one that this thread's work goes to."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: object) -> Any: ...

    def synchronize(self) -> None: ...


class Driver(Protocol):
    """One device. Copies and marks go to the current stream and do not wait.

    Memory that runs out, on the device or page-locked, is a ``MemoryError``.

    Attributes:
        lost: why the device cannot be used by this process any more; empty while it can.
    """

    engine: Engine
    name: str
    lost: str

    def free_memory(self) -> int:
        """Bytes that arrays may still take, memory kept for reuse included."""

    def total_memory(self) -> int:
        """Bytes of the whole device."""

    def release(self) -> None:
        """Give memory kept for reuse back to the device."""

    def pinned(self, size: int) -> Bytes:
        """Page-locked host memory: copies run from and to it while the host goes on."""

    def stream(self) -> Stream:
        """A new stream that waits for no other."""

    def copy_in(self, source: Bytes, target: Any, offset: int) -> None:
        """Copy host bytes to a place in a contiguous device array."""

    def copy_out(self, source: Any, offset: int, target: Bytes) -> None:
        """Copy from a place in a contiguous device array to host bytes."""

    def mark(self, stream: int | None = None) -> Event:
        """A mark behind everything queued so far, on the current stream or another ``cudaStream_t``."""

    def follow(self, mark: Event) -> None:
        """The current stream goes on after a mark of another."""

    def attached(self) -> AbstractContextManager[Any]:
        """This thread's work goes to this device inside the block."""

    def failure(self, error: BaseException) -> Failure:
        """What an error that came out of a step means."""


def staging(driver: Driver, size: int) -> tuple[Bytes, str]:
    """Memory that copies run through, and a note where it could not be page-locked.

    Copies through ordinary memory are slower, and as right: all bytes are taken or there when they return.
    """
    try:
        return driver.pinned(size), ""
    except MemoryError:
        note = "no more page-locked memory can be had: copies go through ordinary memory"
        return np.empty(size, np.uint8), note


def device_error(driver: Driver, error: Exception) -> DeviceFailure | None:
    """What to raise in place of an error of CUDA's; a device that is lost remembers it. None for others."""
    meaning = driver.failure(error)
    if not meaning:
        return None
    if meaning == "step":
        return DeviceFailure(f"{driver.name} did not do a step: {error}")
    driver.lost = f"{driver.name} stopped working: {error}"
    return DeviceLost(driver.lost)
