"""NVIDIA GPUs as their driver tells of them. None is opened: a context would take memory from the work."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

_ASKED = "index,name,memory.total,memory.used,utilization.gpu"
_SECONDS = 5.0
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this machine; None is what its driver does not tell, as of one that is split."""

    index: int
    name: str
    memory_total: int | None
    """Bytes."""
    memory_used: int | None
    busy: float | None
    """Share of the last moment in which a kernel ran, 0 to 1."""


def read_gpus() -> tuple[Gpu, ...]:
    """The GPUs of this machine by their index; none where there is no driver, or it does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    line = [tool, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(line, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()
    return parse_gpus(told.stdout)


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """The lines of ``nvidia-smi``; those that are of another form are left out.

    >>> parse_gpus("0, NVIDIA H100, 81559, 4, 37")[0].busy
    0.37
    """
    found = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) < 5 or not fields[0].isdecimal():
            continue
        total, used, busy = (_number(field) for field in fields[-3:])
        name = ", ".join(fields[1:-3])
        gpu = Gpu(int(fields[0]), name, _bytes(total), _bytes(used), _share(busy))
        found.append(gpu)
    return tuple(found)


def _number(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _bytes(mebibytes: float | None) -> int | None:
    return None if mebibytes is None else int(mebibytes * _MIB)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
