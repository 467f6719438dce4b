"""Memory and cores that this process may take: of the machine, less what control groups keep it from.

A limit may be set on the process' own group or on any group around it; the smallest counts. SLURM sets
them per job and step, Docker and Kubernetes per container, systemd per service. Both versions are read.
"""

from __future__ import annotations

import math
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_MOST_BYTES = 1 << 60  # version 1 writes "no limit" as a number near 2⁶³
_MEMORY_FILES = {  # by version: the limit, what is used, and the field of what the kernel may drop
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def memory_left(root: Path = _ROOT, own: Path = _OWN) -> float:
    """Bytes that this process' groups may still take; infinite without a limit.

    Pages of files that were read count as free: the kernel drops them before it refuses memory.
    """
    left = [
        limit - max(0.0, _number(group / used) - _inactive(group, field))
        for version, group in _groups("memory", root, own)
        for most, used, field in (_MEMORY_FILES[version],)
        if (limit := _number(group / most)) < _MOST_BYTES and (group / used).exists()
    ]
    return max(0.0, min(left, default=math.inf))


def memory_most(root: Path = _ROOT, own: Path = _OWN) -> float:
    """Bytes that this process' groups may take in all; infinite without a limit."""
    limits = [
        limit
        for version, group in _groups("memory", root, own)
        if (limit := _number(group / _MEMORY_FILES[version][0])) < _MOST_BYTES
    ]
    return min(limits, default=math.inf)


def total_memory() -> int:
    """Bytes of memory that this machine has; or its container or job, where that has less."""
    return int(min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), memory_most()))


def core_quota(root: Path = _ROOT, own: Path = _OWN) -> float:
    """Cores' worth of time that this process' groups may take; infinite without a limit."""
    quotas = [
        _quota_v2(group) if version == 2 else _quota_v1(group)
        for version, group in _groups("cpu", root, own)
    ]
    return min(quotas, default=math.inf)


def _groups(controller: str, root: Path, own: Path) -> Iterator[tuple[int, Path]]:
    """The version and folder of the process' group and of every group around it."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        version, top = (1, root / controllers) if controllers else (2, root)
        parts = PurePosixPath(path.lstrip("/")).parts
        for depth in range(len(parts), -1, -1):
            yield version, top.joinpath(*parts[:depth])


def _quota_v2(group: Path) -> float:
    most, _, period = _text(group / "cpu.max").partition(" ")
    return int(most) / int(period) if most.isdigit() else math.inf


def _quota_v1(group: Path) -> float:
    most, period = (_number(group / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return most / period if 0 < most < math.inf and 0 < period < math.inf else math.inf


def _inactive(group: Path, field: str) -> float:
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == field:
            return float(value)
    return 0.0


def _number(file: Path) -> float:
    text = _text(file).strip()
    return float(text) if text.isdigit() else math.inf


def _text(file: Path) -> str:
    try:
        return file.read_text("ascii", "replace")
    except OSError:
        return ""


def available_memory() -> int:
    """Bytes of memory this process may still take; the limits of its container or job included."""
    found = re.search(r"MemAvailable:\s+(\d+)", _text(Path("/proc/meminfo")))
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min(int(found[1]) * 1024 if found else pages, memory_left()))


def available_cores() -> int:
    """Processor cores this process may run on; the limits of its container or job included."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, int(min(cores, core_quota())))


def widen_address_space(length: int) -> None:
    """Take bytes of addresses that stand for no memory off the cap of this process, as far as that may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        wider = soft + length if hard == resource.RLIM_INFINITY else min(soft + length, hard)
        resource.setrlimit(resource.RLIMIT_AS, (wider, hard))
