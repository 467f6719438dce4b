"""Voxels that two processes share without a name: nothing is left behind when either one dies.

The child decodes into an anonymous file and sends its descriptor; the parent maps it from behind the room
before the voxels. The file lives as long as somebody holds it, and no longer. Voxels beyond a limit go to
a file without a name on disk, which has no such room.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuprep.host.resources import widen_address_space
from gpuprep.host.scratch import open_file
from gpuprep.io.room import ROOM, behind_room, bytes_with_room
from gpuprep.io.scan import Voxels
from gpuprep.values.errors import MemoryShortage, ReaderCrash

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

_AT_ONCE = mmap.MAP_SHARED | mmap.MAP_POPULATE
"""All pages are made in one call, which is faster than one by one as they are touched."""


class SharedMemory:
    """The child's side: gives arrays in shared memory; ``take`` hands over the latest descriptor.

    Arrays of more than ``in_memory`` bytes lie in a file in ``folder`` instead.
    """

    def __init__(self, in_memory: int | None = None, folder: str = "") -> None:
        self._in_memory, self._folder = in_memory, folder
        self._descriptor: int | None = None

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Voxels:
        """A zeroed C-ordered array; see ``scan.Allocate``.

        Raises:
            MemoryShortage: this process may not have so much.
            OSError: the disk has no room for the file, or fails.
        """
        self.drop()
        length = math.prod(shape) * dtype.itemsize
        if is_spilled(length, self._in_memory):
            self._descriptor = open_file(self._folder, length)
        try:
            if self._descriptor is None:
                taken = bytes_with_room(shape, dtype)
                self._descriptor = _anonymous_file(taken)
                mapped = mmap.mmap(self._descriptor, taken, flags=_AT_ONCE)
                return behind_room(np.frombuffer(mapped, np.uint8), shape, dtype)
            widen_address_space(length)  # on disk they take addresses but no memory
            mapped = mmap.mmap(self._descriptor, length)
        except (OSError, MemoryError) as error:
            raise MemoryShortage(
                f"{length:,} bytes of voxels do not fit the reader's memory: {error}"
            ) from error
        return np.frombuffer(mapped, dtype).reshape(shape)

    def take(self) -> list[int]:
        """The descriptor to send, if there is one; it stays ours to ``drop``."""
        return [] if self._descriptor is None else [self._descriptor]

    def drop(self) -> None:
        """Let go of the memory; arrays in it stay valid until they are collected."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_spilled(length: int, in_memory: int | None) -> bool:
    """Whether voxels of so many bytes lie on disk."""
    return in_memory is not None and length > in_memory


def map_voxels(
    descriptor: int, shape: Sequence[int], dtype: str, in_memory: int | None = None
) -> Voxels:
    """The parent's side: the array behind a received descriptor, which is closed.

    Pages are private: writing to the array changes nobody else's memory. The length is checked, and that
    the sender cannot cut the file later, which would kill this process. Nothing can keep the sender from
    cutting a file on disk (more than ``in_memory`` bytes): it must be gone by now.

    Raises:
        ReaderCrash: the descriptor holds something else than was said.
    """
    kind = np.dtype(dtype)
    length = math.prod(shape) * kind.itemsize
    try:
        on_disk = is_spilled(length, in_memory)
        room = 0 if on_disk else ROOM
        sent = os.fstat(descriptor).st_size - room
        if sent != length or not (on_disk or _is_sealed(descriptor)):
            raise ReaderCrash(f"the reader sent voxels that are not the {length:,} bytes announced")
        mapped = mmap.mmap(descriptor, length, access=mmap.ACCESS_COPY, offset=room)
    finally:
        os.close(descriptor)
    return np.frombuffer(mapped, kind).reshape(tuple(shape))


def _anonymous_file(length: int) -> int:
    descriptor = os.memfd_create("gpuprep-voxels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, length)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor


def _is_sealed(descriptor: int) -> bool:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:  # not a memfd
        return False
