"""What this machine has: versions, engine, cores, memory, and a round trip through reader and store."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gpuprep
from gpuprep.backend import available_cores, available_memory, cupy_missing
from gpuprep.errors import GpuprepError
from gpuprep.progress import human_bytes

_NEEDED = ("numpy", "SimpleITK", "nibabel", "pydicom", "isal", "zarr", "numcodecs", "distributed")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    state: Literal["ok", "note", "bad"]
    text: str


def examine() -> list[Check]:
    """Every check, in the order they are shown."""
    missing = cupy_missing()
    return [
        Check("gpuprep", "ok", f"{gpuprep.__version__} on Python {platform.python_version()}"),
        *(_library(name) for name in _NEEDED),
        Check("cores", "ok", str(available_cores())),
        Check("memory", "ok", f"{human_bytes(available_memory())} available"),
        Check("disk", "ok", f"{human_bytes(shutil.disk_usage(Path.cwd()).free)} free here"),
        Check("GPU", "note" if missing else "ok", missing or "CuPy and a CUDA device are ready"),
        Check("backend", "ok", f"auto means {'numpy' if missing else 'cupy'}"),
        _round_trip(),
    ]


def _library(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "bad", f"missing; {sys.executable} -m pip install {name}")


def _round_trip() -> Check:
    """Write a small NIfTI, run it through the sandboxed reader and the store, read a voxel back."""
    import nibabel
    import numpy as np

    from gpuprep.coordinator import run
    from gpuprep.store.reader import open_cohort

    with tempfile.TemporaryDirectory(prefix="gpuprep-doctor-") as folder:
        source = Path(folder, "in")
        source.mkdir()
        voxels = np.arange(24**3, dtype=np.int16).reshape(24, 24, 24)
        nibabel.save(
            nibabel.Nifti1Image(voxels, np.diag([2.0, 2.0, 2.0, 1.0])), source / "a.nii.gz"
        )
        try:
            report = run(source, Path(folder, "out"), scheduler="serial", backend="numpy")
            cohort = open_cohort(Path(folder, "out"))
            stored = np.asarray(cohort["a"].image)
        except GpuprepError as error:
            return Check("self-test", "bad", str(error))
    if report.failures or stored.shape != (24, 24, 24):
        return Check("self-test", "bad", str(report.failures))
    return Check("self-test", "ok", "read, resample, store and read back work")
