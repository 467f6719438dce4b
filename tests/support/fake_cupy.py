"""A stand-in for the part of CuPy that gpuprep uses: NumPy arrays, and the kernels on the CPU.

``tests/test_cupy.py`` holds it against the real library's names.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import types
from contextlib import contextmanager
from typing import Any

import numpy as np
from kernels.cuda_on_cpu.cpu_module import CpuModule

LOCK = threading.RLock()  # the kernels' fibers belong to one thread at a time


class CUDARuntimeError(RuntimeError):
    """As ``cupy.cuda.runtime.CUDARuntimeError``."""


class CUDADriverError(RuntimeError):
    """As ``cupy.cuda.driver.CUDADriverError``."""


class Array(np.ndarray):
    """An array with CuPy's ``data``: a pointer that knows copies from and to host addresses."""

    @property
    def data(self) -> _Pointer:  # type: ignore[override]
        return _Pointer(self.ctypes.data)


class _Pointer:
    def __init__(self, address: int) -> None:
        self._address = address

    def __add__(self, offset: int) -> _Pointer:
        return _Pointer(self._address + offset)

    def copy_from_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        assert isinstance(stream, _Stream)
        ctypes.memmove(self._address, mem, size)

    def copy_to_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        assert isinstance(stream, _Stream)
        ctypes.memmove(mem, self._address, size)


class _Stream:
    current = threading.local()
    ptr = 1

    def __init__(self, *, non_blocking: bool = False) -> None:
        assert non_blocking

    def __enter__(self) -> _Stream:
        self.current.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        del self.current.stream

    def synchronize(self) -> None:
        pass

    def wait_event(self, event: _Event) -> None:
        assert event.ptr in _recorded


_recorded: dict[int, int] = {}  # the stream of events by their pointers


class _Event:
    def __init__(self, *, disable_timing: bool = False) -> None:
        assert disable_timing
        self.ptr = id(self)

    def record(self) -> None:
        assert _Stream.current.stream

    def synchronize(self) -> None:
        pass


class _Device:
    def __init__(self, number: int = 0) -> None:
        self.id = number

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...]) -> None:
        self._code, self._options = code, options
        self._module: CpuModule | None = None

    def compile(self) -> None:
        assert "--fmad=false" in self._options
        self._module = CpuModule(self._code)

    def get_function(self, name: str) -> Any:
        assert self._module is not None, "compiled at its first launch, in the middle of a case"
        function = self._module.get_function(name)

        def launch(*arguments: Any, **more: Any) -> None:
            with LOCK:
                function(*arguments, **more)

        return launch


class _Pool:
    freed = 0

    def free_bytes(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        _Pool.freed += 1


def _pinned_pointer(memory: Any, offset: int) -> Any:
    assert offset == 0
    return memory


def module(devices: int = 1) -> types.ModuleType:
    """A fresh module to be put into ``sys.modules`` as ``cupy``."""
    runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        eventRecord=_recorded.__setitem__,
        getDevice=lambda: 0,
        getDeviceCount=lambda: devices,
        getDeviceProperties=lambda number: {"name": b"Imaginary"},
        memGetInfo=lambda: (1 << 30, 2 << 30),
    )
    cuda = types.SimpleNamespace(
        Device=_Device,
        Event=_Event,
        PinnedMemory=bytearray,
        PinnedMemoryPointer=_pinned_pointer,
        Stream=_Stream,
        driver=types.SimpleNamespace(CUDADriverError=CUDADriverError),
        get_current_stream=lambda: _Stream.current.stream,
        is_available=lambda: devices > 0,
        runtime=runtime,
    )
    fake = types.ModuleType("cupy")
    fake.__dict__.update(
        RawModule=_RawModule,
        asarray=lambda array: np.array(array).view(Array),
        asnumpy=lambda array: np.array(array),
        cuda=cuda,
        empty=lambda shape, dtype: np.empty(shape, dtype).view(Array),
        get_default_memory_pool=_Pool,
        zeros=lambda shape, dtype: np.zeros(shape, dtype).view(Array),
    )
    return fake


@contextmanager
def installed(devices: int = 1) -> Any:
    """``import cupy`` finds the stand-in inside the block, and nothing of it is kept."""
    from gpuprep.device import cuda
    from gpuprep.kernels import loader

    kept = cuda._driver, cuda._gate, loader.cuda_engine, loader._module
    before = sys.modules.get("cupy")
    fake = module(devices)
    fake.__spec__ = types.SimpleNamespace(name="cupy")  # type: ignore[assignment]
    sys.modules["cupy"] = fake
    try:
        for each in kept:
            each.cache_clear()
        yield fake
    finally:
        for each in kept:
            each.cache_clear()
        sys.modules.pop("cupy")
        if before is not None:
            sys.modules["cupy"] = before
