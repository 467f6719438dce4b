"""Every kernel compiles with NVRTC for the GPUs we name, without spills and within its registers.

NVRTC needs no GPU and no driver: ``pip install 'gpuprep[kernels]'``. Run with ``-s`` for the table.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from gpuprep.kernels.compiler import compile_text, read_source
from gpuprep.kernels.loader import SOURCES

ARCHITECTURES = (80, 86, 90, 100, 120)
_USUAL = (80, 90)

# Registers per thread: 64 let 1,024 threads share a multiprocessor. The vote holds eight labels and eight
# float64 weights; passes hold 32 sums, the one over planes 64. With two lines a thread instead of four the
# passes fit 64, and cubic's predicted share of the bound falls from 40 to 32 % (benchmarks/kernel_budget.py).
# A median of 5³ voxels holds 76 of them in registers, those of 64 bits in two each.
BUDGET = {
    "vote": 96,
    "columns_pass": 80,
    "last_pass": 80,
    "plane_pass": 168,
    "median_three_uint64": 80,
    "median_five_uint64": 255,
    "median_five": 128,
}
BUDGET_OF_OTHERS = 64


class Usage(NamedTuple):
    registers: int
    spilled: int
    stack: int


@cache
def usage(source: str, architecture: int) -> dict[str, Usage]:
    """What ptxas says about each kernel of a source."""
    need_nvrtc()
    text, target = read_source(source), f"sm_{architecture}"
    binary, log = compile_text(text, f"{source}.cu", target, "-Xptxas=-v")
    assert binary[:4] == b"\x7fELF"
    return dict(_read_log(log))


def need_nvrtc() -> None:
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    try:
        nvrtc.getVersion()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed: {error}")


def _read_log(log: str) -> list[tuple[str, Usage]]:
    entries = re.split(r"Compiling entry function '", log)[1:]
    found = []
    for entry in entries:
        stack, stores, loads = re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", entry
        ).groups()
        registers = int(re.search(r"Used (\d+) registers", entry)[1])
        name = entry.split("'")[0]
        found.append((name, Usage(registers, int(stores) + int(loads), int(stack))))
    return found


def budget(kernel: str) -> int:
    fits = (most for name, most in BUDGET.items() if kernel.startswith(name))
    return next(fits, BUDGET_OF_OTHERS)


def pairs() -> Iterator[Any]:
    """Every source and architecture; of medians, which take NVRTC longest, one architecture is usual."""
    for source in SOURCES:
        usual = _USUAL[1:] if source == "median" else _USUAL
        for each in ARCHITECTURES:
            marks = [] if each in usual else [pytest.mark.slow]
            yield pytest.param(source, each, marks=marks, id=f"{source}-{each}")


@pytest.mark.parametrize(("source", "architecture"), list(pairs()))
def test_kernels_fit_the_device(source: str, architecture: int) -> None:
    kernels = usage(source, architecture)
    assert kernels
    for name, used in kernels.items():
        print(f"sm_{architecture} {name:24} {used.registers:3} registers, {used.spilled} spilled")
    assert not {name: used for name, used in kernels.items() if used.spilled or used.stack}
    assert not {
        name: used.registers for name, used in kernels.items() if used.registers > budget(name)
    }
