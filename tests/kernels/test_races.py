"""ThreadSanitizer over the kernels: barriers and warp operations are the only order it is told of.

It finds what no order of the CPU's threads shows: counters that are not atomic, in shared memory within a
block and in global memory between blocks.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gpuprep.kernels.loader import SOURCES
from kernels.cuda_on_cpu.cpu_module import missing

RACES = {
    "shared counters are not atomic": (
        "block",
        "statistics",
        "atomicAdd(&bins[bin], together ? 32u : 1u)",
        "bins[bin] = bins[bin] + (together ? 32u : 1u)",
    ),
    "global counters are not atomic": (
        "blocks",
        "statistics",
        "atomicAdd(&totals[i], (uint64)bins[i])",
        "totals[i] += bins[i]",
    ),
    "counters used before they are zero": (
        "block",
        "statistics",
        "bins[i] = 0;\n    __syncthreads();",
        "bins[i] = 0;",
    ),
    "counters of a tile are not atomic": (
        "block",
        "clahe",
        "atomicAdd(&bins[bin], together ? 32u : 1u)",
        "bins[bin] = bins[bin] + (together ? 32u : 1u)",
    ),
    "blocks of a tile do not add up": (
        "blocks",
        "clahe",
        "atomicAdd(&totals[i], (uint64)bins[i])",
        "totals[i] += bins[i]",
    ),
    "blocks of a tile all count everything, and one stretches twice": (
        "blocks",
        "clahe",
        "i += (int64)gridDim.x * blockDim.x)\n        voxels",
        "i += blockDim.x)\n        voxels",
    ),
    "rows counted before they are zero": (
        "block",
        "profiles",
        "own[i] = 0;\n            __syncthreads();",
        "own[i] = 0;",
    ),
    "rows read before they are counted": (
        "block",
        "profiles",
        "atomicAdd(&columns[x], (uint64)column);\n            __syncthreads();",
        "atomicAdd(&columns[x], (uint64)column);",
    ),
    "rows of a profile are not atomic": (
        "block",
        "profiles",
        "atomicAdd(&own[i], (uint32)__popc(hits))",
        "own[i] += (uint32)__popc(hits)",
    ),
    "columns of a profile are not atomic": (
        "blocks",
        "profiles",
        "atomicAdd(&columns[x], (uint64)column)",
        "columns[x] += (uint64)column",
    ),
    "every block copies all boxes": (
        "blocks",
        "scatter",
        "k = blockIdx.y; k < count; k += gridDim.y",
        "k = 0; k < count; k++",
    ),
    "no barrier between rows and columns": (
        "block",
        "plane",
        "__syncthreads();\n    // along the columns: a lane",
        "// along",
    ),
    "columns of a plane that others wrote": (
        "block",
        "plane",
        "if (k + 32 * i >= begin)",
        "if (true)",
    ),
    "medians before the tile is loaded": (
        "block",
        "median",
        "__syncthreads();\n            if (y + row",
        "if (y + row",
    ),
    "no barrier after the tile is loaded": (
        "block",
        "resample",
        "        __syncthreads();\n        if (b < b1",
        "        if (b < b1",
    ),
}

pytestmark = pytest.mark.slow


def library() -> str:
    """g++'s ThreadSanitizer library; empty where it cannot be used."""
    if missing() or not shutil.which("setarch"):
        return ""
    command = ["g++", "-print-file-name=libtsan.so"]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return found if Path(found).is_absolute() else ""


def reports(scope: str, source: str, right: str = "", wrong: str = "") -> int:
    """How many races are reported within each ``block``, or between ``blocks``."""
    preload = library()
    if not preload:
        pytest.skip("g++'s ThreadSanitizer library or setarch is not installed")
    own = Path(__file__).parent
    environment = {
        **os.environ,
        "LD_PRELOAD": preload,
        "TSAN_OPTIONS": "exitcode=0 report_signal_unsafe=0",
        "PYTHONPATH": str(own.parents[1]),
        "OPENBLAS_NUM_THREADS": "1",
    }
    if scope == "blocks":
        environment["RACES_BETWEEN_BLOCKS"] = "1"
    # without randomised addresses: ThreadSanitizer's shadow memory has a fixed place
    command = ["setarch", "-R", sys.executable, str(own / "race_check.py"), source, right, wrong]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if "unexpected memory mapping" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("this machine does not let ThreadSanitizer place its memory")
    assert "CHECK failed" not in done.stderr, done.stderr[:2000]
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "done"
    return done.stderr.count("WARNING: ThreadSanitizer: data race")


@pytest.mark.parametrize("scope", ["block", "blocks"])
@pytest.mark.parametrize("source", SOURCES)
def test_kernels_have_no_races(source: str, scope: str) -> None:
    assert reports(scope, source) == 0


@pytest.mark.parametrize("name", RACES)
def test_seeded_races_are_reported(name: str) -> None:
    assert reports(*RACES[name]) > 0
