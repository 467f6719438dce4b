"""What this machine has: versions, engine, cores, memory, and a round trip through reader and store."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, command, out, print_json, session
from gpuprep.host.backend import cupy_missing
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.host.scratch import scratch_folder
from gpuprep.values.errors import BackendError, GpuprepError, UsageError
from gpuprep.values.units import human_bytes
from gpuprep.values.version import __version__

if TYPE_CHECKING:  # as everything that costs time, it is imported by the command that needs it
    from gpuprep.device.link import Link

app = typer.Typer()

_NEEDED = ("numpy", "SimpleITK", "nibabel", "pydicom", "isal", "zarr", "numcodecs", "distributed")


GpuOption = Annotated[
    bool,
    typer.Option(
        "--gpu", help="Try every kernel of the first GPU: right, how fast, how fast it could be."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Write the report of --gpu to this file, as JSON.")
]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report."""

    name: str
    state: Literal["ok", "note", "bad"]
    text: str


@command(app)
def doctor(gpu: GpuOption = False, file: OutOption = None, as_json: JsonOption = False) -> None:
    """Say what is installed, what will be used and what is missing."""
    if gpu:
        _examine_gpu(file, as_json=as_json)
    if file is not None:
        raise UsageError("--out is for the report of --gpu", advice="add --gpu")
    checks = examine()
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        mark = {"ok": "[green]ok[/]  ", "note": "[yellow]note[/]", "bad": "[red]bad[/] "}
        for check in checks:
            out.print(f"{mark[check.state]} {check.name}: {escape(check.text)}")
    raise typer.Exit(1 if any(check.state == "bad" for check in checks) else 0)


def _examine_gpu(file: Path | None, *, as_json: bool) -> NoReturn:
    """Print what the GPU does, and end with 1 where it does not agree with NumPy."""
    if missing := cupy_missing():
        raise BackendError(f"there is no GPU to try: {missing}", advice="gpuprep doctor")
    from gpuprep.cli.gpu import save, try_gpu

    try:
        report = try_gpu(show=not as_json)
    except Exception as error:  # whatever CUDA, its driver or its compiler say
        if session.verbose:
            raise
        message = f"the GPU cannot be used: {type(error).__name__}: {error}"
        raise BackendError(message, advice="see nvidia-smi; -v shows the traceback") from error
    if file is not None:
        save(report, file)
    if as_json:
        print_json(report)
    raise typer.Exit(0 if report["ok"] else 1)


def examine() -> list[Check]:
    """Every check, in the order they are shown."""
    missing = cupy_missing()
    return [
        Check("gpuprep", "ok", f"{__version__} on Python {platform.python_version()}"),
        *(_library(name) for name in _NEEDED),
        Check("cores", "ok", str(available_cores())),
        Check("memory", "ok", f"{human_bytes(available_memory())} available"),
        Check("disk", "ok", f"{human_bytes(shutil.disk_usage(Path.cwd()).free)} free here"),
        Check("GPU", "note", missing) if missing else _device(),
        _object_stores(),
        Check("backend", "ok", f"auto means {'numpy' if missing else 'cupy'}"),
        _round_trip(),
    ]


def _library(name: str) -> Check:
    try:
        return Check(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "bad", f"missing; {sys.executable} -m pip install {name}")


def _object_stores() -> Check:
    try:
        text = f"obstore {importlib.metadata.version('obstore')}: s3://, gs:// and az:// URLs work"
    except importlib.metadata.PackageNotFoundError:
        text = "folders only; pip install 'gpuprep[s3]' for s3:// URLs"
        return Check("object stores", "note", text)
    return Check("object stores", "ok", text)


def _device() -> Check:
    """Open the first device, and have it and NumPy do the same work."""
    from gpuprep.device.cuda import open_link
    from gpuprep.ops.device.trial import TOLERANCE

    try:
        link = open_link(0.5)
        difference = compare_engines(link)
    except Exception as error:  # whatever CUDA, its driver or its compiler say
        return Check("GPU", "bad", f"{type(error).__name__}: {error}")
    text = f"{link.device}, {human_bytes(2 * link.capacity)} free; differs from NumPy by {difference:.1e}"
    return Check("GPU", "ok" if difference <= TOLERANCE else "bad", text)


def compare_engines(link: Link) -> float:
    """The largest difference of a small cubic resampling on a device from NumPy's, in units of its range."""
    import numpy as np

    from gpuprep.ops.device.operations import DeviceOperations
    from gpuprep.ops.operations import HostOperations
    from gpuprep.ops.resample import Resampling
    from gpuprep.values.grids import GridMapping

    voxels = np.random.default_rng(0).integers(-1024, 3000, (40, 50, 60)).astype(np.int16)
    how = Resampling(GridMapping((30, 40, 70), (1.3, 1.2, 0.8), (0.1, 0.2, 0.3)), "cubic")
    results = []
    for operations in (DeviceOperations(link, HostOperations()), HostOperations()):
        with link.session(0):
            out = operations.empty(1, how.mapping.shape, np.float32, 32)[0]
            operations.resample(operations.hold(voxels), how, out)
            operations.wait()
            results.append(np.array(out))
    return float(np.abs(results[0] - results[1]).max() / np.ptp(results[0]))


def _round_trip() -> Check:
    """Write a small NIfTI, run it through the sandboxed reader and the store, read a voxel back."""
    import nibabel
    import numpy as np

    from gpuprep.running.coordinator import run
    from gpuprep.store.reader import open_cohort

    try:
        with scratch_folder("gpuprep-doctor-") as folder:
            source = folder / "in"
            source.mkdir()
            voxels = np.arange(24**3, dtype=np.int16).reshape(24, 24, 24)
            affine = np.diag([2.0, 2.0, 2.0, 1.0])
            nibabel.save(nibabel.Nifti1Image(voxels, affine), source / "a.nii.gz")
            report = run(source, folder / "out", scheduler="serial", backend="numpy")
            stored = np.asarray(open_cohort(folder / "out")["a"].image)
    except GpuprepError as error:
        return Check("self-test", "bad", f"{error}; {error.advice}" if error.advice else str(error))
    if report.failures or stored.shape != (24, 24, 24):
        return Check("self-test", "bad", str(report.failures))
    return Check("self-test", "ok", "read, resample, store and read back work")
