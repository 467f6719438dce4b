"""The CUDA sources of this folder, and the engine that launches their kernels on arrays in hand.

An ``Engine`` is arrays plus kernels: on a GPU, CuPy and modules loaded once per process and device; in tests,
NumPy and the same sources run on the CPU. Code that launches kernels is written once, against the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from threading import RLock
from typing import Any, Protocol

import numpy as np

from gpuprep.kernels.compiler import binary_of
from gpuprep.kernels.tables import Tables

SOURCES = (
    "resample",
    "plane",
    "linear",
    "labels",
    "statistics",
    "profiles",
    "pointwise",
    "curve",
    "median",
    "clahe",
    "scatter",
)

NULL = np.uintp(0)
"""The null pointer, as a kernel's argument; CuPy's versions differ in what they make of None."""

Launch = Callable[..., None]


class Module(Protocol):
    """Compiled kernels: what CuPy's ``RawModule`` and the tests' CPU module have in common."""

    def get_function(self, name: str) -> Launch: ...


class Engine:
    """Arrays and kernels of one device.

    Attributes:
        xp: the array library; ``empty``, ``zeros`` and ``asarray`` are used, and nothing else.
        shared_bytes: dynamic shared memory that a block may use without asking for more.
        tables: weights and indices on the device, kept from case to case.
    """

    def __init__(
        self,
        xp: Any,
        load: Callable[[str], Module],
        to_host: Callable[[Any], Any],
        shared_bytes: int = 48 << 10,
        queue: Callable[[], Hashable] = lambda: None,
    ) -> None:
        self.xp = xp
        self.to_host = to_host
        self.shared_bytes = shared_bytes
        self.tables = Tables(xp, queue)
        self._load = load

    def compile(self) -> None:
        """Make every kernel ready now, rather than at its first use."""
        for name in SOURCES:
            self._load(name)

    def launch(
        self,
        source: str,
        kernel: str,
        grid: tuple[int, ...],
        threads: int,
        arguments: Sequence[Any],
        shared_bytes: int = 0,
    ) -> None:
        """Queue a kernel of ``source`` on the current stream; scalars must be NumPy scalars."""
        function = self._load(source).get_function(kernel)
        function(grid, (threads,), tuple(arguments), shared_mem=shared_bytes)


@cache
def cuda_engine() -> Engine:
    """The engine of this process's GPUs; ImportError or a CUDA error where there are none."""
    import cupy

    def device() -> int:
        return cupy.cuda.runtime.getDevice()

    def to_host(array: Any) -> Any:
        wait_for_queue()
        return cupy.asnumpy(array)

    def wait_for_queue() -> None:
        """Sleep until the current stream is done: a copy that waits by itself would keep a core busy."""
        event = cupy.cuda.Event(block=True, disable_timing=True)
        event.record()
        event.synchronize()

    return Engine(
        cupy,
        lambda name: _module(name, device()),
        to_host,
        queue=lambda: (device(), cupy.cuda.get_current_stream().ptr),
    )


_modules: dict[tuple[str, int], Module] = {}
_loading = RLock()  # NVRTC's first compilation fails where another thread begins one beside it


def _module(name: str, device: int) -> Module:
    """One module per source and device, loaded at its first use, by one thread at a time."""
    if (name, device) not in _modules:
        with _loading:
            if (name, device) not in _modules:
                _modules[name, device] = _CudaModule(name, device)
    return _modules[name, device]


class _CudaModule:
    """The kernels of a source on a device; a kernel is looked up once."""

    def __init__(self, name: str, device: int) -> None:
        import cupy

        with cupy.cuda.Device(device) as own:
            capability = int(own.compute_capability)
            self._module = cupy.cuda.function.Module()
            self._module.load(binary_of(name, capability))
        self._functions: dict[str, Launch] = {}

    def get_function(self, name: str) -> Launch:
        if name not in self._functions:
            self._functions[name] = self._module.get_function(name)
        return self._functions[name]
