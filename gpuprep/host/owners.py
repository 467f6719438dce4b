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


def this_process() -> dict[str, Any]:
    """Names this process among all of all machines."""
    pid = os.getpid()
    return {"machine": _machine(), "pid": pid, "started": _start_time(pid)}


def mark() -> str:
    """Part of a file name: machine, process and its start, and a number of its own."""
    pid = os.getpid()
    return f"{_machine_mark()}-{pid}-{_start_time(pid)}-{uuid.uuid4().hex[:8]}"


def owner_in(marked: str) -> dict[str, Any]:
    """Who made a mark. Raises ValueError for what is none."""
    machine, pid, started, _ = marked.split("-")
    return {
        "machine": _machine() if machine == _machine_mark() else machine,
        "pid": int(pid),
        "started": started,
    }


def is_gone(owner: Mapping[str, Any]) -> bool | None:
    """Whether a process is gone; None where that cannot be seen from this machine."""
    if owner["machine"] != _machine():
        return None
    return bool(_start_time(int(owner["pid"])) != owner["started"])


def is_abandoned(folder: Path, owner: Mapping[str, Any] | None) -> bool:
    """Whether a folder's owner is gone; one out of sight (None, or elsewhere) counts as gone after a day."""
    gone = is_gone(owner) if owner is not None else None
    if gone is not None:
        return gone
    try:
        return time.time() - folder.stat().st_mtime > _FOREIGN_AGE
    except OSError:  # it is gone, or its disk does not answer
        return False


@cache
def _machine_mark() -> str:
    return hashlib.sha256(_machine().encode()).hexdigest()[:12]


@cache
def _machine() -> str:
    """Names the set of processes whose ids mean the same: host, boot and process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"


def _start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty for one that is gone or a zombie."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, *fields = line.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]
