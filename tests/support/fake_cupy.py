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

from gpuprep.kernels.compiler import read_source

LOCK = threading.RLock()  # the kernels' fibers belong to one thread at a time


class CUDARuntimeError(RuntimeError):
    """As ``cupy.cuda.runtime.CUDARuntimeError``."""

    status = 700


class CUDADriverError(RuntimeError):
    """As ``cupy.cuda.driver.CUDADriverError``."""

    status = 700


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
    def __init__(self, *, block: bool = False, disable_timing: bool = False) -> None:
        assert block
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


class _CudaModule:
    def __init__(self, name: str, device: int) -> None:
        self._module = CpuModule(read_source(name))

    def get_function(self, name: str) -> Any:
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

    def clear() -> None:
        loader.cuda_engine.cache_clear()
        for kept in (cuda._opened, cuda._gates, loader._modules):
            kept.clear()

    own = loader._CudaModule
    before = sys.modules.get("cupy")
    fake = module(devices)
    fake.__spec__ = types.SimpleNamespace(name="cupy")  # type: ignore[assignment]
    sys.modules["cupy"] = fake
    loader._CudaModule = _CudaModule  # type: ignore[misc]
    try:
        clear()
        yield fake
    finally:
        clear()
        loader._CudaModule = own  # type: ignore[misc]
        sys.modules.pop("cupy")
        if before is not None:
            sys.modules["cupy"] = before
