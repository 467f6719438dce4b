"""The few CUDA calls that gpuprep needs beside its kernels: memory, streams, copies, and what errors mean.

``device.cuda`` fills this narrow surface with CuPy. Tests fill it with NumPy and the kernels on the CPU, so
that everything above it runs without a GPU.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine

Bytes = NDArray[np.uint8]


class Event(Protocol):
    """A point in a stream that the host can wait for."""

    def synchronize(self) -> None: ...


class Stream(Protocol):
    """A queue of work on the device; entered, it is the one that this thread's work goes to."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: object) -> Any: ...

    def synchronize(self) -> None: ...


class Driver(Protocol):
    """One device. Copies and marks go to the current stream and do not wait.

    Device memory that runs out is a ``MemoryError``, as CuPy has it.
    """

    engine: Engine
    name: str

    def free_memory(self) -> int:
        """Bytes that arrays may still take, memory kept for reuse included."""

    def release(self) -> None:
        """Give memory kept for reuse back to the device."""

    def pinned(self, size: int) -> Bytes:
        """Host memory that copies can run from and to while the host goes on."""

    def stream(self) -> Stream:
        """A new stream that waits for no other."""

    def copy_in(self, source: Bytes, target: Any, offset: int) -> None:
        """Copy pinned bytes to a place in a contiguous device array."""

    def copy_out(self, source: Any, offset: int, target: Bytes) -> None:
        """Copy from a place in a contiguous device array to pinned bytes."""

    def mark(self) -> Event:
        """A mark behind everything queued so far."""

    def follow(self, stream: int) -> None:
        """The current stream goes on after what was queued so far on another, a ``cudaStream_t``."""

    def attached(self) -> AbstractContextManager[Any]:
        """This thread's work goes to this device inside the block."""

    def failed(self, error: BaseException) -> bool:
        """Whether an error means that the device cannot be used any more."""
