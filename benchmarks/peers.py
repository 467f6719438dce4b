"""One whole case, file to stored result: gpuprep beside nnU-Net v2, MONAI, TorchIO and SimpleITK.

    python benchmarks/peers.py [--scans FOLDER] [--peers-python PYTHON] [--rounds 3] [--cores 1 2]

Two volumes with labels: a CT-like one of 466×512×512 made here (0.78×0.78×1.0 mm to 1.5 mm, three
labels), and a real chest CT (lung1 of pyradiomics, 0.57×0.57×5 mm to 1×1×2.5 mm) when a folder of scans
is given; both as ``.nii.gz``. Each tool goes against gpuprep with the config that gives the tool's own
grid and result (``rivals.py``), stored as float32 as the tool does, and as float16 as gpuprep does by
default. Every measurement is a fresh process held to its cores; imports are not counted; the paths take
turns and the fastest round counts. CPU time is of the process and its children. Peak memory is above
what the process had after its imports. gpuprep waits for the disk at the end of a case, the others do
not; MONAI and TorchIO save uncompressed. TorchIO's image is off by up to a unit of int16, the dtype it
resamples in; labels of MONAI differ in a few voxels, at exact halves in the small case looked into.

``--peers-python`` is an interpreter with nnunetv2, monai and torchio (``tests/goldens/make.py`` says how to
make one); a tool that it lacks is left out, and the reason is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

import phantom
from measure import Absent, run_alone
from paths import Task, Triple
from rivals import NNUNET, RIVALS, Rival, Window
from timing import PATIENCE, machine, versions

RESULT = Path(__file__).parent / "results" / "peers.json"
PACKAGES = ("numpy", "scipy", "SimpleITK", "zarr", "torch", "nnunetv2", "batchgenerators", "blosc2")
PACKAGES += ("monai", "torchio")
OURS = {"gpuprep": "float32", "gpuprep float16": "float16"}


@dataclass(frozen=True)
class Volume:
    """An image and its label map on disk, and what to make of them."""

    name: str
    image: Path
    label: Path
    target: Triple
    """Spacing, ``x, y, z`` in mm."""
    window: Window
    """HU; takes in every voxel."""
    labels: tuple[int, ...]
    voxels: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", default=os.environ.get("GPUPREP_TEST_DATA", ""))
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--against", nargs="+", help="names of tools; all of them by default")
    parser.add_argument("--shape", type=int, nargs=3, default=phantom.SHAPE, metavar="N")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    wanted = [rival for rival in RIVALS if chosen(rival, arguments.against)]
    with tempfile.TemporaryDirectory(prefix="gpuprep-bench-") as name:
        folder = Path(name)
        rows = []
        for volume in volumes(folder, arguments.shape, arguments.scans):
            for rival in wanted:
                rows += list(compare(volume, rival, folder, arguments))
    record = {
        "machine": machine(),
        "versions": {"ours": versions(*PACKAGES), "peers": versions_of(arguments.peers_python)},
        "rows": rows,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"\nwrote {arguments.out}")


def chosen(rival: Rival, names: Sequence[str] | None) -> bool:
    return not names or any(name.lower() in rival.name.lower() for name in names)


def volumes(folder: Path, shape: Sequence[int], scans: str) -> Iterator[Volume]:
    """The volumes to do, written as ``.nii.gz``."""
    z, y, x = shape
    affine = np.diag([-phantom.SPACING[0], -phantom.SPACING[1], phantom.SPACING[2], 1.0])
    arrays = phantom.ct((z, y, x)), phantom.labels((z, y, x))
    yield written(f"CT-like {z}×{y}×{x}", folder / "phantom", arrays, affine, (1.5, 1.5, 1.5))
    if scans:
        import SimpleITK as sitk

        from gpuprep.values.geometry import Geometry

        files = (Path(scans) / "pyradiomics" / f"lung1_{kind}.nrrd" for kind in ("image", "label"))
        image, label = map(sitk.ReadImage, files)
        arrays = tuple(sitk.GetArrayFromImage(each) for each in (image, label))
        place = image.GetSpacing(), image.GetOrigin(), image.GetDirection()
        affine = Geometry(arrays[0].shape, *place).affine_ras
        name = "real CT " + "×".join(map(str, arrays[0].shape))
        yield written(name, folder / "real", arrays, affine, (1.0, 1.0, 2.5))


def written(
    name: str, folder: Path, arrays: tuple[Any, Any], affine: Any, target: Triple
) -> Volume:
    """The volume of an image and its labels (``z, y, x``), stored in ``folder``."""
    image, label = arrays[0].astype(np.int16, copy=False), arrays[1].astype(np.uint8, copy=False)
    folder.mkdir()
    files = folder / "image.nii.gz", folder / "label.nii.gz"
    for file, array in zip(files, (image, label), strict=True):
        nibabel.save(nibabel.Nifti1Image(array.T, affine), file)
    window = float(image.min()), float(image.max())
    structures = tuple(int(value) for value in np.unique(label) if value)
    return Volume(name, *files, target, window, structures, image.size)


def compare(
    volume: Volume, rival: Rival, folder: Path, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """The rows of one tool and gpuprep on one volume, printed as they come."""
    for cores in arguments.cores:
        runs = Runs(volume, rival, cores, folder, arguments.peers_python)
        try:
            for turn in range(arguments.rounds):
                for name in (*OURS, rival.name):
                    runs.measure(name, keep=turn == 0)
        except Absent as reason:
            print(f"{volume.name}: {rival.name} is left out: {reason}")
            return
        yield from runs.rows()


class Runs:
    """The rounds of one tool and gpuprep on one volume and so many cores."""

    def __init__(
        self, volume: Volume, rival: Rival, cores: int, folder: Path, peers_python: str
    ) -> None:
        self._volume, self._rival, self._cores = volume, rival, cores
        self._folder = folder
        self._python = peers_python if rival.foreign else sys.executable
        self._best: dict[str, dict[str, Any]] = {}

    def measure(self, name: str, *, keep: bool) -> None:
        """One round of a path; none for a slow one that had its turn."""
        best = self._best.get(name)
        if best and best["wall"] > PATIENCE:
            return
        output, kept = self._folder / "output", self._folder / name
        kept.mkdir(exist_ok=True)
        path, python, task = self._request(name, output)
        output.mkdir()
        try:
            found = run_alone(path, task, python=python, keep=kept if keep else None)
        finally:  # a tool that is absent is told and left out
            shutil.rmtree(output)
        if not best or found["wall"] < best["wall"]:
            self._best[name] = found

    def _request(self, name: str, output: Path) -> tuple[str, str, Task]:
        volume, rival = self._volume, self._rival
        files = str(volume.image), str(volume.label), str(output)
        clip = rival.clip or volume.window
        if name in OURS:
            config = rival.config(volume.target, volume.window, OURS[name])
            task = Task(*files, self._cores, volume.target, clip, config)
            return "gpuprep_case", sys.executable, task
        options = {"labels": volume.labels, "dtype": "float32", **NNUNET, **dict(rival.options)}
        task = Task(*files, self._cores, volume.target, clip, options)
        return rival.path, self._python, task

    def rows(self) -> Iterator[dict[str, Any]]:
        """The fastest rounds, each beside the tool's."""
        theirs = self._best[self._rival.name]
        for name, found in self._best.items():
            row = {
                "volume": self._volume.name,
                "against": self._rival.name,
                "path": name,
                "cores": self._cores,
                **found,
                "peak_per_output_voxel": self._peak_per_voxel(found),
                "wall_ratio": theirs["wall"] / found["wall"],
                "cpu_ratio": theirs["cpu"] / found["cpu"],
                **agreement(self._folder / name, self._folder / self._rival.name),
            }
            print_row(row)
            yield row

    def _peak_per_voxel(self, found: dict[str, Any]) -> float:
        """Bytes above the decoded input (int16 and uint8) per output voxel."""
        return (found["peak_bytes"] - 3 * self._volume.voxels) / found["output_voxels"]


def agreement(ours: Path, theirs: Path) -> dict[str, Any]:
    """Largest image difference in units of the range, and differing label voxels.

    nnU-Net's label −1 (outside its non-zero region) says nothing about structures and is not compared.
    """
    image, other = (np.load(folder / "image.npy", mmap_mode="r") for folder in (ours, theirs))
    if image.shape != other.shape:
        return {"difference": math.inf, "labels_differ": -1}
    most, low, high = 0.0, math.inf, -math.inf
    for plane, wanted in zip(image, other, strict=True):
        most = max(most, float(np.abs(plane.astype(np.float32) - wanted).max()))
        low, high = min(low, float(wanted.min())), max(high, float(wanted.max()))
    label, other = (np.load(folder / "label.npy", mmap_mode="r") for folder in (ours, theirs))
    differ = int(np.count_nonzero((label != other) & (other >= 0)))
    return {"difference": most / (high - low), "labels_differ": differ}


def print_row(row: dict[str, Any]) -> None:
    stages = " ".join(f"{stage} {seconds:.2f}" for stage, seconds in row["stages"].items())
    print(
        f"{row['volume']:20} {row['cores']} core(s) {row['path']:18} "
        f"wall {row['wall']:6.2f} s ({row['wall_ratio']:5.1f}×)  "
        f"cpu {row['cpu']:6.2f} s ({row['cpu_ratio']:5.1f}×)  "
        f"peak {row['peak_bytes'] / 1e6:6.0f} MB ({row['peak_per_output_voxel']:5.1f} B/voxel)  "
        f"written {row['written_bytes'] / 1e6:6.1f} MB  "
        f"differs {row['difference']:.1e}, {row['labels_differ']} labels  {stages}",
        flush=True,
    )


def versions_of(python: str) -> dict[str, str]:
    """The versions that another interpreter has."""
    code = f"import json, timing; print(json.dumps(timing.versions(*{PACKAGES})))"
    command = [python, "-c", code]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return json.loads(subprocess.run(command, capture_output=True, check=True, env=here).stdout)


if __name__ == "__main__":
    main()
