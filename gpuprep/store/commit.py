"""Publishing a case: built in a hidden folder, made visible by one rename, or not at all.

An attempt lives in ``.staging/<case id>.<attempt>/``: ``owner.json`` says which process builds it, and
``case/`` is the case; publishing renames that to ``cases/<case id>.zarr``. The attempt's own name says who
builds it, too, for the moments when that file is not there yet or no longer. Any number of processes may
attempt one case; one wins and the others learn of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from gpuprep.errors import StoreError
from gpuprep.store.files import append_line, fsync_path, read_lines, storage_faults, write_file
from gpuprep.store.layout import (
    RECORD_FILE,
    STAGING_FOLDER,
    case_folder,
    check_case_id,
)

__all__ = ["Staging", "append_line", "read_lines", "sweep"]

_OWNER_FILE = "owner.json"
_CASE = "case"
_REPLACED = "replaced"
_FOREIGN_AGE = 24 * 3600.0  # seconds after which another machine's attempt counts as dead
_RENAME_TRIES = 8


class Staging:
    """One attempt at one case: a folder to build it in, removed unless it is published.

    Example::

        with Staging(root, "liver_0") as staging:
            files = write_case(staging.folder, ...)
            write_record(staging.folder, {"files": files, ...})
            published = staging.publish()
    """

    def __init__(self, root: str | Path, case_id: str) -> None:
        """Name an attempt; nothing is written yet. Raises UsageError for an unsafe id."""
        attempt = f"{check_case_id(case_id)}.{attempt_name()}"
        self.target = case_folder(root, case_id)
        self._root = Path(root)
        self._attempt = self._root / STAGING_FOLDER / attempt
        self.folder = self._attempt / _CASE

    def __enter__(self) -> Staging:
        with storage_faults(self.folder):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._attempt.mkdir(parents=True)
            write_file(self._attempt / _OWNER_FILE, [json.dumps(_owner()).encode()], fsync=False)
            self.folder.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._attempt, ignore_errors=True)

    def publish(self, *, replace: bool = False, durable: bool = True) -> bool:
        """Make the case visible under its id.

        A folder of that name without a record is no case and gives way. A second call, and a call for
        a case somebody else finished first, returns False and changes nothing.

        Args:
            replace: Put this case in the place of a finished one.
            durable: Wait until every file and folder is on the disk before and after the rename.

        Returns:
            True if this attempt is now the case, False if the case was there already.

        Raises:
            StoreError: the record is not written yet, or the disk refuses.
            RunStopped: the disk is full.
        """
        if not self.folder.exists():
            return False
        if not (self.folder / RECORD_FILE).is_file():
            raise StoreError(f"{self.folder}: write the record before publishing the case")
        with storage_faults(self.target):
            if durable:
                _fsync_tree(self.folder)
            published = self._rename(replace=replace)
            if durable and published:
                fsync_path(self.target.parent)
        return published

    def _rename(self, *, replace: bool) -> bool:
        for _ in range(_RENAME_TRIES):
            try:
                self.folder.rename(self.target)
            except OSError:
                if not self.folder.exists() and self.target.exists():
                    return True  # a network disk reported failure of a rename that it had done
                if not self.target.exists():
                    raise
            else:
                return True
            if _is_case(self.target) and not replace:
                return False
            self._clear_target(replace=replace)
        raise StoreError(
            f"{self.target}: other processes keep replacing this case",
            advice="run only one overwriting run at a time on an output folder",
        )

    def _clear_target(self, *, replace: bool) -> None:
        """Move what stands in the way aside; put it back if it became a case in the meantime."""
        aside = self._attempt / f"{_REPLACED}.{uuid.uuid4().hex}"
        try:
            self.target.rename(aside)
        except FileNotFoundError:
            return
        if _is_case(aside) and not replace:
            with suppress(OSError):  # a third process may have published since
                aside.rename(self.target)


def sweep(root: str | Path) -> int:
    """Remove attempts whose process is gone; returns how many.

    An attempt of another machine (or container) is removed once it is a day old. A case that was about
    to be replaced when its process died is put back.
    """
    staging = Path(root) / STAGING_FOLDER
    attempts = sorted(staging.iterdir()) if staging.is_dir() else []
    abandoned = [attempt for attempt in attempts if attempt.is_dir() and _is_abandoned(attempt)]
    for attempt in abandoned:
        _put_back(attempt, case_folder(root, attempt.name.rpartition(".")[0]))
        shutil.rmtree(attempt, ignore_errors=True)
    return len(abandoned)


def _put_back(attempt: Path, target: Path) -> None:
    for replaced in attempt.glob(f"{_REPLACED}.*"):
        if _is_case(replaced) and not target.exists():
            with suppress(OSError):
                replaced.rename(target)


def _is_case(folder: Path) -> bool:
    return (folder / RECORD_FILE).is_file()


def _fsync_tree(folder: Path) -> None:
    for path, _, names in os.walk(folder, topdown=False):
        for name in names:
            fsync_path(Path(path, name))
        fsync_path(Path(path))


def _owner() -> dict[str, Any]:
    pid = os.getpid()
    return {"machine": _machine(), "pid": pid, "started": start_time(pid)}


def _is_abandoned(attempt: Path) -> bool:
    """Whether the process that made an attempt is gone, or is out of sight and the attempt is old."""
    try:
        owner = _owner_of(attempt)
        here = owner["machine"] == _machine()
        alive = here and start_time(int(owner["pid"])) == owner["started"]
    except (OSError, ValueError, KeyError, TypeError):
        here = alive = False
    if here:
        return not alive
    try:
        return time.time() - attempt.stat().st_mtime > _FOREIGN_AGE
    except FileNotFoundError:
        return False


def attempt_name() -> str:
    """Machine, process and its start, and a number of its own."""
    pid = os.getpid()
    return f"{machine_mark()}-{pid}-{start_time(pid)}-{uuid.uuid4().hex[:8]}"


def _owner_of(attempt: Path) -> dict[str, Any]:
    """Who builds an attempt, by its file, or by its name where it has none (any more)."""
    try:
        owner: dict[str, Any] = json.loads((attempt / _OWNER_FILE).read_bytes())
    except FileNotFoundError:
        mark, pid, started, _ = attempt.name.rpartition(".")[2].split("-")
        machine = _machine() if mark == machine_mark() else mark
        return {"machine": machine, "pid": pid, "started": started}
    return owner


@cache
def machine_mark() -> str:
    return hashlib.sha256(_machine().encode()).hexdigest()[:12]


@cache
def _machine() -> str:
    """Names the set of processes whose ids mean the same: host, boot and process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty for one that is gone or a zombie."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    state, *fields = line.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]
