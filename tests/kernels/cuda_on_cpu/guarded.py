"""NumPy arrays that end (or begin) at an unmapped page: an access beyond them traps.

``GuardedArrays`` stands in for ``numpy`` where host code allocates, so that inputs, tables, intermediate
volumes and results of a kernel are all guarded. What ``empty`` gives is full of 0xCB.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

Side = Literal["begin", "end"]

_PAGE = 4096
_READ_WRITE, _NONE, _PRIVATE_ANONYMOUS = 3, 0, 0x22
_POISON = 0xCB

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class GuardedArrays:
    """The allocating functions of an array library, every array touching an unmapped page."""

    def __init__(self, side: Side = "end") -> None:
        self._side = side

    def empty(self, shape: Any, dtype: DTypeLike = np.float64) -> np.ndarray:
        kind = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = math.prod(shape)
        memory = _map(count * kind.itemsize, self._side)
        array = np.frombuffer(memory, np.uint8, count * kind.itemsize)
        array[...] = _POISON
        return array.view(kind).reshape(shape)

    def zeros(self, shape: Any, dtype: DTypeLike = np.float64) -> np.ndarray:
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def asarray(self, array: Any) -> np.ndarray:
        """A guarded copy in C order."""
        source = np.asarray(array)
        copy = self.empty(source.shape, source.dtype)
        copy[...] = source
        return copy


def _map(size: int, side: Side) -> Any:
    """``size`` bytes between two unmapped pages, unmapped when nothing refers to them any more."""
    body = max(1, -(-size // _PAGE)) * _PAGE
    start = _libc.mmap(None, body + 2 * _PAGE, _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if start in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"no {body} bytes for a guarded array")
    _libc.mprotect(start, _PAGE, _NONE)
    _libc.mprotect(start + _PAGE + body, _PAGE, _NONE)
    first = start + _PAGE + (body - size if side == "end" else 0)
    memory = (ctypes.c_char * max(1, size)).from_address(first)
    weakref.finalize(memory, _libc.munmap, start, body + 2 * _PAGE).atexit = False
    return memory
