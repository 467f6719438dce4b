"""The stand-in as tests set and read it; see the package."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMAND = "python tests/device/cpucuda"

FOLDER = os.environ.get("CPUCUDA_FOLDER", "")
"""Where it was built; empty where this process does not run over it."""


def armed() -> bool:
    """Whether ``import cupy`` gives the CuPy over the stand-in, in this process and in its children."""
    return bool(FOLDER)


def environment(folder: Path) -> dict[str, str]:
    """What a process needs in its environment to run over the stand-in."""
    tests = Path(__file__).parents[2]
    path = [str(folder / "site"), str(tests.parent), str(tests), os.environ.get("PYTHONPATH", "")]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "CPUCUDA_FOLDER": str(folder),
        "CUPY_CACHE_DIR": str(folder / "kernel_cache"),  # CuPy's own kernels
        "GPUPREP_CACHE_DIR": str(folder / "kernels"),
    }


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(Path(FOLDER) / "libcuda.so.1"), ctypes.RTLD_GLOBAL)
    library.cpucuda_set.argtypes = [ctypes.c_char_p, ctypes.c_long]
    library.cpucuda_fail.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_long]
    library.cpucuda_status.argtypes = [ctypes.c_char_p]
    library.cpucuda_on_stream.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    for function in (library.cpucuda_complaints, library.cpucuda_counts, library.cpucuda_trace):
        function.restype = ctypes.c_char_p
    library.cpucuda_device_bytes.restype = library.cpucuda_pinned_bytes.restype = ctypes.c_long
    for function in (library.cpucuda_cpu_function, library.cpucuda_cupy_function):
        function.restype = ctypes.c_void_p
    return library


library = _library() if armed() else None


class Machine:
    """Settings, failures, complaints and counts of this process's devices."""

    def set(self, **values: int) -> None:
        """``seed``, ``eager``, ``devices``, ``memory`` and ``pinned`` (bytes), ``trace``."""
        for name, value in values.items():
            library.cpucuda_set(name.encode(), value)

    def fail(self, call: str, status: str, *, after: int = 0, times: int = 1) -> None:
        """Calls of that name give a status instead of what they do, once ``after`` of them have gone well.

        Args:
            call: A function of CUDA's; ``"context"`` for every call that needs a device's context; or work
                that fails when it happens, such as ``"kernel"`` and ``"H2D pinned"``.
            status: As CUDA names it, ``"cudaErrorMemoryAllocation"``.
            after: Calls that go well before.
            times: How often it fails; 0 for always.
        """
        number = library.cpucuda_status(status.encode())
        if number < 0:
            raise ValueError(f"no status {status}")
        library.cpucuda_fail(call.encode(), after, number, times)

    def forgive(self) -> None:
        """No call fails any more, and no device is broken."""
        library.cpucuda_forgive()

    def reset(self) -> None:
        """All that was queued is done, and everything is as at the start, but memory in use."""
        library.cpucuda_reset()

    def complaints(self) -> list[str]:
        """What happened that no program may do, since the last call."""
        return library.cpucuda_complaints().decode().splitlines()

    def counts(self) -> dict[str, int]:
        """How often calls were made and work happened; kernels as ``"ran NAME"``."""
        lines = library.cpucuda_counts().decode().splitlines()
        return {name: int(count) for name, count in (line.rsplit("=", 1) for line in lines)}

    def trace(self) -> list[tuple[int, int, str]]:
        """Stream, operation and what it was of all that happened, in that order; needs ``trace=1``."""
        lines = [line.split(" ", 2) for line in library.cpucuda_trace().decode().splitlines()]
        return [(int(stream), int(number), what) for stream, number, what in lines]

    def device_bytes(self, device: int = 0) -> int:
        return library.cpucuda_device_bytes(device)

    def pinned_bytes(self) -> int:
        return library.cpucuda_pinned_bytes()

    def on_stream(self, stream: int, work: Callable[[], None]) -> None:
        """Have the host do something behind what is queued in a stream; device memory is open to it."""

        done = threading.Event()

        def run() -> int:
            work()
            done.set()
            return 0

        function = ctypes.CFUNCTYPE(ctypes.c_int)(run)
        _queued[:] = [each for each in _queued if not each[1].is_set()]
        _queued.append((function, done))
        library.cpucuda_on_stream(stream, function)


_queued: list[
    tuple[Any, threading.Event]
] = []  # a function of Python's lives until it has been called
