"""Which process a folder belongs to, and whether that process is gone.

Folders that a process builds in have its mark in their name, so that whoever comes later can tell leftovers
from work in progress, from the first moment on.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

_FOREIGN_AGE = 24 * 3600.0  # seconds after which what another machine left counts as abandoned
# Of host, boot and namespace: a name of 200 bytes and a mark fit into 255.
_MARK_LENGTHS = (8, 6, 8)


def this_process() -> dict[str, Any]:
    """Names this process among all of all machines."""
    return process_named(os.getpid())


def process_named(pid: int) -> dict[str, Any]:
    """Names a process of this machine among all of all machines."""
    return {"machine": _machine(), "pid": pid, "started": _start_time(pid)}


def mark() -> str:
    """Part of a file name: host, boot and namespace, process and its start, and a number of its own."""
    pid = os.getpid()
    return f"{''.join(_machine_marks())}-{pid}-{_start_time(pid)}-{uuid.uuid4().hex[:8]}"


def owner_in(marked: str) -> dict[str, Any]:
    """Who made a mark. Raises ValueError for what is none."""
    machine, pid, started, _ = marked.split("-")
    return {
        "machine": _machine() if machine == "".join(_machine_marks()) else machine,
        "pid": int(pid),
        "started": started,
    }


def is_gone(owner: Mapping[str, Any]) -> bool | None:
    """Whether a process is gone; None where that cannot be seen from this machine."""
    if owner["machine"] != _machine():
        return None
    return bool(_start_time(int(owner["pid"])) != owner["started"])


def is_abandoned(folder: Path, owner: Mapping[str, Any] | None) -> bool:
    """Whether a folder's owner is gone; one out of sight (None, or elsewhere) counts as gone after a day.

    One that this host had before it was booted is gone at once. Hosts may bear one name, so the folder must
    be older than the boot as well.
    """
    gone = is_gone(owner) if owner is not None else None
    if gone is not None:
        return gone
    try:
        changed = folder.stat().st_mtime
        if owner is not None and _is_of_earlier_boot(owner) and changed < _booted():
            return True
        return time.time() - changed > _FOREIGN_AGE
    except OSError:  # it is gone, or its disk does not answer
        return False


def _is_of_earlier_boot(owner: Mapping[str, Any]) -> bool:
    host, boot, _ = _machine_marks()
    told = str(owner["machine"])
    same = len(told) == sum(_MARK_LENGTHS) and told.startswith(host)
    return same and not told.startswith(host + boot)


@cache
def _machine_marks() -> tuple[str, str, str]:
    """Hashes of the host, of its boot, and of the process namespace."""
    named = (_host(), _boot(), f"{_boot()} {_namespace()}")
    hosts, boots, spaces = (hashlib.sha256(text.encode()).hexdigest() for text in named)
    host, boot, space = _MARK_LENGTHS
    return hosts[:host], boots[:boot], spaces[:space]


@cache
def _machine() -> str:
    """Names the set of processes whose ids mean the same: host, boot and process namespace."""
    return f"{socket.gethostname()} {_boot()} {_namespace()}"


def _host() -> str:
    """Names this host from one boot to the next."""
    try:
        number = Path("/etc/machine-id").read_text().strip()
    except OSError:
        number = ""
    return f"{socket.gethostname()} {number}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


def _booted() -> float:
    """When this host was booted, in seconds since the epoch; OSError where it does not say."""
    lines = Path("/proc/stat").read_text().splitlines()
    told = [line.split()[1] for line in lines if line.startswith("btime ")]
    return float(told[0]) if told else 0.0


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty for one that is gone or a zombie."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, *fields = line.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]
