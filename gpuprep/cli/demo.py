"""A small cohort of real volumes from installed packages, from files to patches, told step by step.

Everything comes out of wheels: nilearn's MNI152 brain with its tissue maps as label, a CT and an MR slice
of pydicom. Nothing is downloaded. One file is damaged on purpose.
"""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpuprep.cli.progress import ProgressView
from gpuprep.cli.terminal import describe_grid
from gpuprep.config.file import load_config
from gpuprep.drawing import save_picture
from gpuprep.export import whole_file, write_volume
from gpuprep.host.resources import available_cores
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.codes import CODES
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseFailed
from gpuprep.values.geometry import Geometry
from gpuprep.values.units import human_bytes
from gpuprep.values.volume import Volume
from gpuprep.viewing import inspect_path
from gpuprep.viewing.page import draw

BRAIN, DAMAGED = "mni152", "damaged"
_SLICES = ("CT_small.dcm", "MR_small.dcm")
_KEPT = 0.6  # of the damaged file
_MANIFEST = f"""\
case_id,image,label,origin
{BRAIN},mni152_t1.nii.gz,mni152_tissues,nilearn: MNI152 T1 template 1 mm
ct_small,ct_small,,pydicom: one CT slice
mr_small,mr_small,,pydicom: one MR slice
{DAMAGED},damaged_t1.nii.gz,,the brain again with its last {1 - _KEPT:.0%} cut off
"""
_CONFIG = """\
# For a mix of CT and MR: intensities are cut and scaled by each image's own statistics.
version: 1
image:
  orientation: LPS                              # x to the Left, y to Posterior, z to Superior
  intensity:                                    # in order; folded to one clip and one line
    - percentile_clip: {low: 0.5, high: 99.5}
    - zscore: {over: foreground}                # foreground: voxels that are not 0
  resample:
    spacing: [2.0, 2.0, 2.0]                    # x, y, z in mm
    interpolation: cubic
label:
  interpolation: linear                         # one indicator per label, the largest wins
store:
  dtype: float16
"""


def run_demo(folder: Path, console: Console) -> int:
    """Build, run and show the demo in a folder; returns the exit code.

    The code is 0 when exactly the damaged file failed. Run again, it finds every case done.

    Raises:
        UsageError: the folder holds something else, or nilearn is not installed.
    """
    output, manifest, config = folder / "cohort", folder / "input/cases.csv", folder / "demo.yaml"
    _heading(console, "1  Input: real volumes from installed packages")
    build_input(folder)
    _show_input(console, manifest)
    _heading(console, f"2  gpuprep run {manifest} {output} --config {config}")
    with ProgressView(console, live=True) as view:
        report = run(
            manifest,
            output,
            config=load_config(config),
            workers=min(2, available_cores()),
            listeners=[view],
        )
    if report.exit_code not in (0, 1):
        return report.exit_code  # stopped or interrupted, and already said why
    if [failure.case_id for failure in report.failures] != [DAMAGED]:
        console.print("[red]this should not have happened[/]: only the damaged file ought to fail")
        return 1
    if not report.finished.done:
        console.print("every good case was done already; only the damaged file was tried again")
    _show_cases(console, output)
    _heading(console, "3  The failure is on purpose; the other cases never noticed")
    _explain(console, report.failures[0])
    _heading(console, "4  What you have now")
    _show_result(console, folder, output)
    return 0


def build_input(folder: Path) -> None:
    """Write the demo's input and config; files that are there already stay as they are.

    Raises:
        UsageError: the folder holds something else, or nilearn is not installed.
    """
    source, config = folder / "input", folder / "demo.yaml"
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", advice="name a folder to make")
    if folder.is_dir() and any(folder.iterdir()) and not config.is_file():
        raise UsageError(
            f"{folder} is not empty and was not made by the demo", advice="choose a new folder"
        )
    brain, tissues = source / "mni152_t1.nii.gz", source / "mni152_tissues"
    wanted = [brain, tissues / "grey_matter.nii.gz", tissues / "white_matter.nii.gz"]
    missing = [file for file in wanted if not file.is_file()]
    volumes = _brain_and_tissues() if missing else []
    try:
        tissues.mkdir(parents=True, exist_ok=True)
        config.write_text(_CONFIG, "utf-8")
        for file, volume in zip(wanted, volumes, strict=False):
            if file in missing:
                with whole_file(file) as partial:
                    write_volume(volume, partial)
        for name in _SLICES:
            _copy_slice(name, source / Path(name).stem.lower() / name)
        damaged = source / "damaged_t1.nii.gz"
        if not damaged.is_file():
            whole = brain.read_bytes()
            with whole_file(damaged) as partial:
                partial.write_bytes(whole[: int(len(whole) * _KEPT)])
        (source / "cases.csv").write_text(_MANIFEST, "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def _brain_and_tissues() -> list[Volume]:
    """The T1 template (intensity × 1000) and masks of grey and white matter, 1 mm, from nilearn's wheel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from nilearn import datasets
        except ImportError:
            raise UsageError(
                "the demo's brain comes with nilearn, which is not installed",
                advice="pip install 'gpuprep[demo]'",
            ) from None
        brain = datasets.load_mni152_template(resolution=1)
        grey, white = (
            _voxels(load(resolution=1))
            for load in (datasets.load_mni152_gm_template, datasets.load_mni152_wm_template)
        )
    voxels = _voxels(brain)
    geometry = Geometry.from_affine_ras(brain.affine, voxels.shape)
    arrays: list[NDArray[Any]] = [
        np.rint(voxels * 1000).astype(np.int16),
        ((grey > 0.5) & (grey >= white)).astype(np.uint8),
        ((white > 0.5) & (white > grey)).astype(np.uint8),
    ]
    return [Volume(array, geometry) for array in arrays]


def _voxels(image: Any) -> NDArray[np.float32]:
    """The voxels of a nibabel image in ``z, y, x``."""
    return np.asarray(image.get_fdata(dtype=np.float32)).T


def _copy_slice(name: str, target: Path) -> None:
    """One of the DICOM files that pydicom ships for its own tests."""
    from pydicom.data import get_testdata_file

    if target.is_file():
        return
    found = get_testdata_file(name, download=False)
    if found is None:
        raise UsageError(
            f"this pydicom does not contain {name}", advice="pip install --force-reinstall pydicom"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as partial:
        shutil.copyfile(str(found), partial)


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{escape(text)}[/]")


def _show_input(console: Console, manifest: Path) -> None:
    heads, *rows = (line.split(",") for line in manifest.read_text("utf-8").splitlines())
    table = _table(*heads)
    for cells in rows:
        table.add_row(*map(escape, cells))
    console.print(table)


def _table(*heads: str) -> Table:
    return Table(*heads, box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")


def _show_cases(console: Console, output: Path) -> None:
    """What became of every case: grids in voxels and mm, bytes, findings."""
    table = _table("case", "source x×y×z (mm)", "stored x×y×z (mm)", "stored", "findings")
    for case in open_cohort(output).values():
        source = Geometry.from_json(case.record["geometry"]["source"])
        size = sum(seal["size"] for seal in case.record["files"].values())
        codes = " ".join(sorted({finding.code for finding in case.findings})) or "none"
        grids = describe_grid(source), describe_grid(case.geometry)
        table.add_row(case.id, *grids, human_bytes(size), codes)
    console.print(table)


def _explain(console: Console, failure: CaseFailed) -> None:
    code = CODES.get(failure.code)
    meaning = code.meaning if code else failure.kind
    rows = {
        "file": failure.path,
        "what": f"{failure.code}: {meaning}",
        "why": failure.message,
        "to do": f"{failure.advice} Here that is a fresh copy of the file; then the same command "
        "again does this case and skips the others.",
    }
    table = Table.grid(padding=(0, 3, 0, 0))
    for name, text in rows.items():
        table.add_row(f"[dim]{name}[/]", escape(text))
    console.print(table)
    console.print("SimpleITK by itself reads this file without a word: zeros from the cut on.")


def _show_result(console: Console, folder: Path, output: Path) -> None:
    """A picture, a patch as a training job reads it, and what to try next."""
    picture = folder / f"{BRAIN}.png"
    save_picture(draw(inspect_path(output / BRAIN, load_config(None))), picture)
    case = open_cohort(output)[BRAIN]
    console.print(f"a picture to look at: {picture}")
    _read_patch(console, output, case)
    _heading(console, "Try next")
    for line in (
        f"gpuprep inspect {output / BRAIN}",
        f"gpuprep export {output} {BRAIN} {folder / 'tissue.nii.gz'} --label segmentation --native",
        f"gpuprep verify {output} --full",
    ):
        console.print(f"   {line}")


def _read_patch(console: Console, output: Path, case: StoredCase) -> None:
    assert case.image is not None
    z, y, x = (n // 2 for n in case.geometry.shape)
    box = (slice(z - 24, z + 24), slice(y - 24, y + 24), slice(x - 24, x + 24))
    case.image[box]  # opens the file
    start = time.perf_counter()
    patch = case.image[box]
    spent = (time.perf_counter() - start) * 1000
    text = ", ".join(f"{part.start}:{part.stop}" for part in box)
    console.print(
        f">>> cohort = gpuprep.open({str(output)!r})\n"
        f">>> patch = cohort[{BRAIN!r}].image[{text}]\n"
        f"shape {patch.shape}, {patch.dtype}, mean {patch.mean(dtype=np.float64):.4f}, "
        f"read in {spent:.1f} ms",
        markup=False,
    )
