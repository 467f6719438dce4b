"""How the benchmarks measure: wall and CPU time, peak memory, and what machine it was.

Needs only the standard library and NumPy.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 20.0  # seconds after which a path is not repeated
THREAD_SETTINGS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"),
    *("NUMEXPR_NUM_THREADS", "BLOSC_NTHREADS", "nnUNet_def_n_proc"),
)


@dataclass(frozen=True)
class Spent:
    """What one call took."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of the process and its children, user and system."""


def spent(work: Callable[[], Any]) -> tuple[Any, Spent]:
    """What ``work`` returns and what it took."""
    cpu, start = cpu_seconds(), time.perf_counter()
    result = work()
    wall = time.perf_counter() - start
    return result, Spent(wall, cpu_seconds() - cpu)


def fastest(paths: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[Any, Spent]]:
    """The result and the fastest round of each path; they take turns, slow ones fewer."""
    best: dict[str, tuple[Any, Spent]] = {}
    for _ in range(rounds):
        for name, work in paths.items():
            if name in best and best[name][1].wall > PATIENCE:
                continue
            result, took = spent(work)
            if name not in best or took.wall < best[name][1].wall:
                best[name] = result, took
    return best


def cpu_seconds() -> float:
    """CPU time so far, of this process and of its children that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def resident_bytes(field: str = "VmRSS") -> int:
    """Resident memory of this process now, or at its peak (``VmHWM``)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def forget_peak() -> int:
    """Resident memory now; the peak counts from here on, where the kernel allows it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return resident_bytes()


def threads_environment(threads: int) -> dict[str, str]:
    """The environment in which libraries use so many threads, and NumPy's BLAS one."""
    settings = dict.fromkeys(THREAD_SETTINGS, str(threads))
    return {**os.environ, **settings, "OPENBLAS_NUM_THREADS": "1"}


def with_one_blas_thread() -> None:
    """Start this script again with NumPy's BLAS at one thread, as every gpuprep worker has it."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def machine() -> dict[str, Any]:
    """Processor, cores, Python, commit and load, for the record."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "commit": _commit(),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def versions(*packages: str) -> dict[str, str]:
    """Versions of those packages that are installed here."""
    found = {}
    for name in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return "unknown"
