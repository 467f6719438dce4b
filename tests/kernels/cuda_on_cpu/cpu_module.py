"""CUDA C++ compiled with g++ and launched on NumPy arrays, with the call of CuPy's ``RawModule``.

The source is compiled as it is, except that ``extern __shared__ T x[];`` becomes a pointer. Launches
check what CuPy does not: number, kind and size of every argument, and the block against
``__launch_bounds__``. Binaries are kept in the user's cache folder under a hash of everything in them.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

Order = Literal["forward", "reverse", "random"]
ORDERS: tuple[Order, ...] = ("forward", "reverse", "random")

_HERE = Path(__file__).parent
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\(\s*(\d+)[^)]*\)\s*)?(\w+)\s*\('
)
_DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")
_FLAGS = (
    *("-std=c++17", "-O2", "-march=x86-64-v3", "-ffp-contract=off", "-fno-strict-aliasing"),
    # hidden and not unique: two modules in one process must not share templates of one name
    *("-fPIC", "-shared", "-fvisibility=hidden", "-fno-gnu-unique", "-Wall", "-Werror"),
    *("-Wno-unknown-pragmas", "-Wno-unused", "-Wno-sign-compare", "-Wno-maybe-uninitialized"),
)


class KernelFailure(Exception):
    """A kernel did something a GPU would not forgive; the message says where."""


def missing() -> str:
    """Why kernels cannot run here; empty where they can."""
    if os.uname().machine != "x86_64" or os.uname().sysname != "Linux":
        return "the fibers' switch is written for x86-64 Linux"
    return "" if shutil.which("g++") else "g++ is not installed"


class CpuModule:
    """The kernels of one source text; ``order`` says in which order a block's threads run."""

    def __init__(
        self, code: str, *, order: Order = "forward", seed: int = 0, flags: tuple[str, ...] = ()
    ):
        self.bounds = {name: int(bound or 1024) for bound, name in _KERNEL.findall(_expanded(code))}
        self._library = ctypes.CDLL(str(_build(code, tuple(self.bounds), flags)))
        self._library.cuda_on_cpu_parameters.restype = ctypes.c_char_p
        self._library.cuda_on_cpu_message.restype = ctypes.c_char_p
        self._order, self._seed = ORDERS.index(order), seed

    def get_function(self, name: str) -> Any:
        """The kernel as ``function(grid, block, arguments, shared_mem=0)``."""
        if name not in self.bounds:
            raise KeyError(name)
        wanted = self._library.cuda_on_cpu_parameters(name.encode()).decode().rstrip(",").split(",")

        def launch(grid: tuple, block: tuple, arguments: tuple, shared_mem: int = 0) -> None:
            if len(arguments) != len(wanted):
                raise TypeError(f"{name}: {len(arguments)} arguments for {len(wanted)} parameters")
            passed = [
                _pass(f"{name}, argument {k}", argument, kind)
                for k, (argument, kind) in enumerate(zip(arguments, wanted, strict=True))
            ]
            if np.prod(block) > self.bounds[name]:
                raise ValueError(f"{name}: a block of {block} is beyond __launch_bounds__")
            self._launch(name, grid, block, passed, shared_mem)

        return launch

    def _launch(self, name: str, grid: tuple, block: tuple, passed: list, shared_mem: int) -> None:
        triples = [(ctypes.c_uint * 3)(*(*sizes, 1, 1)[:3]) for sizes in (grid, block)]
        pointers = (ctypes.c_void_p * len(passed))(*[value.ctypes.data for value in passed])
        failed = self._library.cuda_on_cpu_launch(
            name.encode(),
            *triples,
            ctypes.c_size_t(shared_mem),
            pointers,
            self._order,
            ctypes.c_uint(self._seed),
        )
        if failed:
            raise KernelFailure(f"{name}: {self._library.cuda_on_cpu_message().decode()}")


def _pass(place: str, argument: Any, wanted: str) -> np.ndarray:
    """The bytes of one argument, as an array; TypeError unless they are what the parameter wants.

    As in CuPy, arrays pass a pointer to their first voxel (strides are the caller's business), and
    structured arrays of one element pass by value.
    """
    if wanted.startswith("p"):
        if isinstance(argument, np.uintp) and argument == 0:  # the null pointer
            return np.zeros(1, np.uintp)
        if not isinstance(argument, np.ndarray):
            raise TypeError(f"{place}: {type(argument).__name__} for a pointer")
        got, value = "p" + _kind(argument.dtype), np.array([argument.ctypes.data], np.uintp)
        # float16 is a struct of two bytes to the kernels
        got = "pV2" if argument.dtype == np.float16 else got
    else:
        scalar = isinstance(argument, np.generic)
        if not scalar and not (isinstance(argument, np.ndarray) and argument.size == 1):
            raise TypeError(f"{place}: {type(argument).__name__} for a value; use a NumPy scalar")
        value = np.array([argument]) if scalar else argument
        got = _kind(value.dtype)
    if got != wanted:
        raise TypeError(f"{place}: {got} for a parameter {wanted}")
    return value


def _kind(dtype: np.dtype) -> str:
    return f"{dtype.kind}{dtype.itemsize}"


def _expanded(code: str) -> str:
    """The source after the preprocessor, where macros have made their kernels."""
    done = subprocess.run(
        ["g++", "-E", "-P", "-x", "c++", "-"],
        input=code,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _build(code: str, kernels: tuple[str, ...], flags: tuple[str, ...]) -> Path:
    body = _DYNAMIC.sub(r"\1 *\2 = (\1 *)cuda_on_cpu::dynamic_shared();", code)
    entries = [f'static cuda_on_cpu::Register<{k}> register_{k}("{k}");' for k in kernels]
    unit = "\n".join(['#include "cuda_on_cpu.h"', body, *entries, ""])
    command = ["g++", *_FLAGS, *flags, "-I", str(_HERE), "-x", "c++", "-"]
    headers = [path.read_text("utf-8") for path in sorted(_HERE.glob("*.h"))]
    key = hashlib.sha256("\0".join([unit, *headers, *command]).encode()).hexdigest()[:20]
    library = _cache() / f"{key}.so"
    if not library.exists():
        with tempfile.NamedTemporaryFile(dir=library.parent, suffix=".tmp", delete=False) as part:
            part.close()
        done = subprocess.run(
            [*command, "-o", part.name], input=unit, capture_output=True, text=True
        )
        if done.returncode:
            Path(part.name).unlink()
            raise RuntimeError(f"g++ refused the kernels:\n{done.stderr[:4000]}")
        Path(part.name).replace(library)
    return library


def _cache() -> Path:
    own = os.environ.get("CPUCUDA_FOLDER")  # of a process that may have no home
    base = own or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "gpuprep-tests" / "cuda_on_cpu"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
