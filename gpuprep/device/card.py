"""What a CUDA device is, and what software it was met with; for people, and beside every timing."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_ASKED = (
    *("driver_version", "pci.bus_id", "pcie.link.gen.current", "pcie.link.width.current"),
    *("clocks.max.sm", "clocks.max.mem", "power.limit", "ecc.mode.current", "mig.mode.current"),
)


@dataclass(frozen=True, slots=True)
class Card:
    """One device.

    Attributes:
        capability: its generation, as 9.0.
        cuda: the newest CUDA that its driver knows.
        headers: where CuPy's own kernels find CUDA's headers; empty where they do not.
        smi: what nvidia-smi says, by its own names; empty without it.
    """

    name: str
    capability: str
    memory_bytes: int
    multiprocessors: int
    cuda: str
    runtime: str
    cupy: str
    nvrtc: str
    headers: str
    smi: dict[str, str]


def describe_card(number: int = 0) -> Card:
    """The device of a number; raises where CuPy, a driver or the device is missing."""
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(number)
    return Card(
        str(properties["name"].decode("utf-8", "replace")),
        f"{properties['major']}.{properties['minor']}",
        int(properties["totalGlobalMem"]),
        int(properties["multiProcessorCount"]),
        _version(runtime.driverGetVersion()),
        _version(runtime.runtimeGetVersion()),
        str(cupy.__version__),
        ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
        _headers(),
        _smi(number),
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _headers() -> str:
    """The folder that CuPy would take CUDA's headers from."""
    with suppress(Exception):  # CuPy's versions look for them in different ways
        finder = importlib.import_module("cuda.pathfinder")
        return str(finder.find_nvidia_header_directory("cudart") or "")
    return ""


def _smi(number: int) -> dict[str, str]:
    if shutil.which("nvidia-smi") is None:
        return {}
    asked: list[Any] = ["nvidia-smi", f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30)
        values = done.stdout.splitlines()[number].split(",")
        return dict(zip(_ASKED, map(str.strip, values), strict=False))
    return {}
