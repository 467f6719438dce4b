"""Disks that fail on demand: ``faulty_disk.c`` compiled and preloaded, for a run and all its children."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")
_COMMAND = ("gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-ldl")


def faulty(folder: Path, *rules: str, told: Path | None = None) -> dict[str, str]:
    """The environment of a process for which files below a folder obey the rules of ``faulty_disk.c``.

    Every fault is a line ``CALL FAULT PATH`` in ``told``.
    """
    return {
        "LD_PRELOAD": str(library()),
        "FAULTY_DISK": str(folder.resolve()),
        "FAULTY_DISK_PLAN": ",".join(rules),
        "FAULTY_DISK_TOLD": str(told or os.devnull),
    }


def library(source: Path = _SOURCE) -> Path:
    """A source as a library, kept in the user's cache folder; a test is skipped where nothing compiles it."""
    if os.uname().sysname != "Linux" or not shutil.which("gcc"):
        pytest.skip("faults of a disk need Linux and gcc")
    key = hashlib.sha256(source.read_bytes() + " ".join(_COMMAND).encode()).hexdigest()[:20]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpuprep-tests"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    built = cache / f"{source.stem}-{key}.so"
    if not built.exists():
        with tempfile.NamedTemporaryFile(dir=cache, suffix=".tmp", delete=False) as part:
            part.close()
        subprocess.run([*_COMMAND, "-o", part.name, str(source)], check=True)
        Path(part.name).replace(built)
    return built
