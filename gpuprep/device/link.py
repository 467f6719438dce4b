"""How a case's arrays get to the device and back, and how many cases are on it at one time.

A ``Gate`` admits cases by the bytes they need, in order of arrival. Each slot of a worker has a ``Link``:
a stream of its own, two pinned pieces that uploads pass through in turn (while one is copied to the
device, the next is filled), and a pinned landing that results are copied into. All of it is made once, at the
first case, and reused, so that memory stays flat over any number of cases.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.device.driver import Bytes, Driver, Event, Stream, device_error, staging
from gpuprep.kernels.loader import Engine

Array = NDArray[Any]

PIECE_BYTES = 16 << 20
_ALIGNMENT = 256


class Gate:
    """Lets cases in while the bytes they need together stay within ``total``; alone, any case may go."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._taken = 0
        self._changed = threading.Condition()
        self._door = threading.Lock()  # who waits first goes first, so that no large case starves

    @contextmanager
    def admitted(self, needed: int) -> Iterator[None]:
        """Wait for ``needed`` bytes, and hold them inside the block."""
        with self._door, self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + needed <= self.total)
            self._taken += needed
        try:
            yield
        finally:
            with self._changed:
                self._taken -= needed
                self._changed.notify_all()


class Link:
    """One slot's way to a device; for one thread at a time.

    Attributes:
        notes: what was done otherwise than it should be in the last session, for people.
    """

    def __init__(self, driver: Driver, gate: Gate, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._driver = driver
        self._gate = gate
        self._piece_bytes = piece_bytes
        self._stream: Stream | None = None
        self._pieces: list[Bytes] = []
        self._marks: list[Event | None] = [None, None]
        self._landing = _Landing(self._staging)
        self.notes: list[str] = []

    @property
    def engine(self) -> Engine:
        return self._driver.engine

    @property
    def device(self) -> str:
        """The device's name."""
        return self._driver.name

    @property
    def lost(self) -> str:
        """Why nothing in this process can use the device any more; empty while it works."""
        return self._driver.lost

    @property
    def capacity(self) -> int:
        """Bytes that the cases on the device may take together."""
        return self._gate.total

    @contextmanager
    def session(self, needed: int) -> Iterator[None]:
        """A case's time on the device: it is let in, works on this slot's stream, and is waited for.

        What ``empty`` gave before is used anew.

        Raises:
            DeviceLost: the device stopped working; nothing in this process can use it any more.
            DeviceFailure: CUDA refused a step; the device goes on.
        """
        with self._gate.admitted(needed):
            try:
                with self._driver.attached(), self._prepared():
                    try:
                        yield
                    finally:
                        self.wait()
            except Exception as error:
                if found := device_error(self._driver, error):
                    raise found from error
                raise

    def _prepared(self) -> Stream:
        """The slot's stream, with what a session begins with."""
        if self._stream is None:
            self._stream = self._driver.stream()
        if self.notes:  # there may be page-locked memory by now
            self._pieces, self._landing, self.notes = [], _Landing(self._staging), []
        while len(self._pieces) < 2:
            self._pieces.append(self._staging(self._piece_bytes))
        self._landing.clear()
        return self._stream

    def _staging(self, size: int) -> Bytes:
        memory, note = staging(self._driver, size)
        if note and note not in self.notes:
            self.notes.append(note)
        return memory

    def wait(self) -> None:
        """Until everything that was queued is done."""
        self._driver.mark().synchronize()

    def release(self) -> None:
        """Wait for the stream and give memory kept for reuse back to the device."""
        self.wait()
        self._driver.release()

    def upload(self, array: Array) -> Any:
        """The array on the device, in the same dtype and axis order.

        Voxels travel as they lie in memory, and only those of the view; turned axes are strides again on
        the device. Raises MemoryError where the device is full.
        """
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        forward = tuple(slice(None, None, -1 if step < 0 else 1) for step in array.strides)
        source = array[forward].transpose(order)
        target = self.engine.xp.empty(source.shape, source.dtype)
        for part, offset in _parts(source.shape, source.itemsize, self._pieces[0].nbytes):
            self._send(source[part], target, offset * source.itemsize)
        return target.transpose(np.argsort(order).tolist())[forward]

    def _send(self, voxels: Array, target: Any, offset: int) -> None:
        mark, piece = self._marks.pop(0), self._pieces.pop(0)
        if mark is not None:
            mark.synchronize()
        staged = piece[: voxels.nbytes]
        np.copyto(staged.view(voxels.dtype).reshape(voxels.shape), voxels)
        self._driver.copy_in(staged, target, offset)
        self._marks.append(self._driver.mark())
        self._pieces.append(piece)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Host memory for a result, valid until the next session."""
        return self._landing.take(shape, np.dtype(dtype))

    def passing(self) -> AbstractContextManager[None]:
        """A block at whose end what ``empty`` gave in it is used anew."""
        return self._landing.passing()

    def download(self, array: Any, out: Array) -> None:
        """Copy a C-contiguous device array into ``out``; it is there after ``wait``."""
        if not out.flags.c_contiguous:
            staged = self.empty(out.shape, out.dtype)
            self.download(array, staged)
            self.wait()
            np.copyto(out, staged)
            return
        target = out.reshape(-1).view(np.uint8)
        if self._landing.holds(target):
            self._driver.copy_out(array, 0, target)
            return
        for first in range(0, target.nbytes, self._pieces[0].nbytes):
            part = target[first : first + self._pieces[0].nbytes]
            self.wait()  # the piece may be on its way up
            staged = self._pieces[0][: part.nbytes]
            self._driver.copy_out(array, first, staged)
            self.wait()
            np.copyto(part, staged)


class _Landing:
    """Memory that results are laid into one after another; what one case needed, the next finds."""

    def __init__(self, staging: Callable[[int], Bytes]) -> None:
        self._staging = staging
        self._memory: list[Bytes] = []
        self._block = self._used = 0

    def clear(self) -> None:
        """Forget what was taken; several blocks become one that holds as much."""
        total = sum(block.nbytes for block in self._memory)
        if len(self._memory) > 1:
            self._memory = []
            self._memory = [self._staging(total)]
        self._block = self._used = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A block at whose end what was taken in it is forgotten, and nothing else."""
        before = self._block, self._used
        try:
            yield
        finally:
            self._block, self._used = before

    def holds(self, target: Bytes) -> bool:
        """Whether some bytes lie in this memory."""
        return any(np.may_share_memory(block, target) for block in self._memory)

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        size = math.prod(shape) * dtype.itemsize
        while (
            self._block < len(self._memory) and self._used + size > self._memory[self._block].nbytes
        ):
            self._block, self._used = self._block + 1, 0
        if self._block == len(self._memory):
            self._memory.append(self._staging(_rounded(size)))
        taken = self._memory[self._block][self._used : self._used + size]
        self._used += -(-size // _ALIGNMENT) * _ALIGNMENT
        return taken.view(dtype).reshape(shape)


def _rounded(size: int) -> int:
    """At most an eighth more, so that cases of nearly one size find room in the same memory."""
    step = 1 << max(20, size.bit_length() - 4)
    return -(-size // step) * step


def _parts(
    shape: tuple[int, ...], itemsize: int, most: int
) -> Iterator[tuple[tuple[slice, ...], int]]:
    """A C-ordered array in runs of at most ``most`` bytes: indices, and the first voxel of each."""
    row = math.prod(shape[1:])
    if shape[1:] and row * itemsize > most:
        for index in range(shape[0]):
            for part, offset in _parts(shape[1:], itemsize, most):
                yield (slice(index, index + 1), *part), index * row + offset
        return
    step = max(1, most // max(1, row * itemsize))
    for first in range(0, shape[0], step):
        yield (slice(first, first + step),), first * row
