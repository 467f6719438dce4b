"""The CUDA sources of this folder, and the engine that launches their kernels on arrays in hand.

An ``Engine`` is arrays plus kernels: on a GPU, CuPy and modules compiled by NVRTC once per process and
device (CuPy keeps the binaries on disk); in tests, NumPy and the same sources run on the CPU. Code that
launches kernels is written once, against the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gpuprep.kernels.tables import Tables

SOURCES = ("resample", "linear", "labels", "statistics", "profiles", "pointwise", "scatter")

_PREAMBLE = "voxel.cuh"

OPTIONS = ("--std=c++17", "--fmad=false")
"""For NVRTC: no product and sum are joined unless the source says so (``fmaf``)."""

NULL = np.uintp(0)
"""The null pointer, as a kernel's argument; CuPy's versions differ in what they make of None."""

Launch = Callable[..., None]

_FOLDER = Path(__file__).parent


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


def read_source(name: str) -> str:
    """The text of a kernel file with what every file begins with in front; line numbers are kept."""
    return "".join(
        f'#line 1 "{part}"\n{(_FOLDER / part).read_text("utf-8")}'
        for part in (_PREAMBLE, f"{name}.cu")
    )


@cache
def cuda_engine() -> Engine:
    """The engine of this process's GPUs; ImportError or a CUDA error where there are none."""
    import cupy

    def device() -> int:
        return cupy.cuda.runtime.getDevice()

    return Engine(
        cupy,
        lambda name: _module(name, device()),
        cupy.asnumpy,
        queue=lambda: (device(), cupy.cuda.get_current_stream().ptr),
    )


@cache
def _module(name: str, device: int) -> Module:
    """One module per source and device, compiled at its first use."""
    import cupy

    with cupy.cuda.Device(device):
        module = cupy.RawModule(code=read_source(name), options=OPTIONS)
        module.compile()
    return module
