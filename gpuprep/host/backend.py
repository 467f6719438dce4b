"""Which array engine runs, and on which devices."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpuprep.values.errors import BackendError

Name = Literal["auto", "numpy", "cupy"]

_INSTALL = "pip install 'gpuprep[cuda13]' (CUDA 13 drivers) or 'gpuprep[cuda12]' (CUDA 12)"


@dataclass(frozen=True, slots=True)
class Backend:
    """The engine of a run.

    Attributes:
        note: why ``auto`` fell back, or devices that are not there, for people.
        devices: the CUDA devices to use, as ``CUDA_VISIBLE_DEVICES`` names them.
        yields: NumPy does the cases where a device cannot be opened; else that stops the run.
    """

    name: Literal["numpy", "cupy"]
    note: str = ""
    devices: tuple[str, ...] = ()
    yields: bool = False


def choose_backend(name: Name) -> Backend:
    """The backend for a run.

    Raises:
        BackendError: ``cupy`` was asked for and cannot be used; the message says what is missing.
    """
    if name == "numpy":
        return Backend("numpy")
    missing = cupy_missing()
    if not missing:
        devices, note = _visible_devices()
        return Backend("cupy", note, devices, yields=name == "auto")
    if name == "cupy":
        raise BackendError(f"backend cupy cannot be used: {missing}", advice="--backend numpy")
    return Backend("numpy", f"using NumPy: {missing}")


def cupy_missing() -> str:
    """What keeps the cupy backend from working here; empty when nothing does."""
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; {_INSTALL}"
    _spare_read_only_home()
    try:
        import cupy

        available = cupy.cuda.is_available()
    except Exception as error:  # a broken driver, or a process forked from one that used the device
        return f"CUDA cannot be used in this process ({error})"
    if not available:
        return "CuPy is installed, but no CUDA device or driver answers (see nvidia-smi)"
    return ""


def _spare_read_only_home() -> None:
    """Have CuPy keep its own kernels in memory where it cannot keep them on disk; it would not even load."""
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or os.path.expanduser("~/.cupy/kernel_cache"))  # noqa: PTH111
    try:
        if folder.is_absolute():  # else there is no home, and a folder called ~ would be made here
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return
    except OSError:
        pass
    os.environ["CUPY_CACHE_IN_MEMORY"] = "1"  # for workers, too
    os.environ["CUPY_CACHE_DIR"] = os.sep  # it is there, so CuPy does not try to make it


def _visible_devices() -> tuple[tuple[str, ...], str]:
    """The devices that CUDA sees, as ``CUDA_VISIBLE_DEVICES`` names them, and a note where it names more.

    CUDA ends the list at the first one that does not exist.
    """
    import cupy

    count = cupy.cuda.runtime.getDeviceCount()
    text = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    named = [name.strip() for name in text.split(",")] if text else list(map(str, range(count)))
    note = ""
    if len(named) > count:
        note = f"CUDA_VISIBLE_DEVICES={text} names {len(named)} devices, CUDA sees {count} of them"
    return tuple(named[:count]), note
