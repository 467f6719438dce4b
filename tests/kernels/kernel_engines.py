"""The engines that kernel tests run on: the CPU in three thread orders, and a GPU under ``-m gpu``."""

import os
from functools import cache
from typing import Any

import numpy as np
import pytest

from gpuprep.kernels.compiler import read_source
from gpuprep.kernels.loader import Engine, cuda_engine
from kernels.cuda_on_cpu.cpu_module import ORDERS, CpuModule, Order, missing
from kernels.cuda_on_cpu.guarded import GuardedArrays


def cpu_engine(order: Order = "forward", changed: dict[str, str] | None = None) -> Engine:
    """Kernels on the CPU, guarded at the end of arrays, at their begin in reverse order.

    ``changed`` replaces the text of some sources; they are compiled quickly, since each is run once.
    """
    texts = changed or {}

    def load(name: str) -> Any:
        flags = ("-O1",) if name in texts else ()
        return _module(texts.get(name) or read_source(name), order, flags)

    arrays = GuardedArrays("begin" if order == "reverse" else "end")
    return Engine(arrays, load, np.array)


@cache
def _module(text: str, order: Order, flags: tuple[str, ...]) -> CpuModule:
    return CpuModule(text, order=order, seed=7, flags=flags)


@pytest.fixture(
    scope="session", params=[*ORDERS, pytest.param("cuda", marks=pytest.mark.gpu)], ids=str
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every test with this fixture runs once per engine."""
    if request.param != "cuda":
        if missing():
            pytest.skip(missing())
        return cpu_engine(request.param)
    if not _cuda_answers():
        pytest.skip("no CUDA device answers through CuPy")
    if os.environ.get("GPUPREP_NO_POOL"):  # so that compute-sanitizer sees the end of every array
        import cupy

        cupy.cuda.set_allocator(None)
    return cuda_engine()


def _cuda_answers() -> bool:
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.cuda.is_available())
