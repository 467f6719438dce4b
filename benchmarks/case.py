"""One whole case, file to committed Zarr: gpuprep beside SimpleITK + zarr-python, in one run.

    python benchmarks/case.py [--scans FOLDER] [--rounds 3] [--threads 2] [--out benchmarks/results/case.json]

Two volumes: a CT-like one of 466×512×512 int16 made here (0.78×0.78×1.0 mm to 1.5 mm), and a real chest CT
(lung1 of pyradiomics, 0.57×0.57×5 mm to 1×1×2.5 mm) when a folder of scans is given. Both paths read the
same file, clip to −1000..400 HU, resample to the same grid, map to 0..1, and write float16 in 32³ chunks.
Each measurement is a fresh process; the paths take turns and the fastest round counts. Peak memory is
that of a process that also reads, above what it had after its imports.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLIP = (-1000.0, 400.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scans", type=Path, default=os.environ.get("GPUPREP_TEST_DATA"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "case.json")
    parser.add_argument("--measure", nargs=5, metavar=("PATH", "KIND", "SPACING", "FILE", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, threads=arguments.threads)))
        return
    with tempfile.TemporaryDirectory(prefix="gpuprep-bench-") as folder:
        rows = compare(Path(folder), arguments)
    machine = (
        f"{arguments.threads} threads, {platform.machine()}, Python {platform.python_version()}"
    )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    print(f"\n{machine}; wrote {arguments.out}")


def compare(folder: Path, arguments: argparse.Namespace) -> list[dict[str, object]]:
    volumes = [("CT-like 466×512×512", make_phantom(folder), "1.5,1.5,1.5")]
    if arguments.scans:
        real = Path(arguments.scans) / "pyradiomics" / "lung1_image.nrrd"
        volumes.append(("real CT 48×512×512", real, "1.0,1.0,2.5"))
    print(f"{'volume':22} {'kind':7} {'path':10} {'wall s':>7} {'cpu s':>7} {'peak MB':>8}  stages")
    rows = []
    for name, file, spacing in volumes:
        for kind in ("cubic", "linear"):
            best: dict[str, dict] = {}
            for turn in range(arguments.rounds):
                for path in ("gpuprep", "simpleitk"):
                    output = folder / f"{file.stem}-{kind}-{path}-{turn}"
                    found = run_alone(path, kind, spacing, file, output, arguments)
                    shutil.rmtree(output)
                    if path not in best or found["wall"] < best[path]["wall"]:
                        best[path] = found
            for path, found in best.items():
                rows.append({"volume": name, "kind": kind, "path": path, **found})
                stages = " ".join(
                    f"{stage} {value:.2f}" for stage, value in found["stages"].items()
                )
                print(
                    f"{name:22} {kind:7} {path:10} {found['wall']:7.2f} {found['cpu']:7.2f} "
                    f"{found['peak_mb']:8.0f}  {stages}"
                )
            ours, theirs = best["gpuprep"], best["simpleitk"]
            print(
                f"{'':22} {kind:7} {'ratio':10} {theirs['wall'] / ours['wall']:6.1f}× "
                f"{theirs['cpu'] / ours['cpu']:6.1f}× {theirs['peak_mb'] / ours['peak_mb']:7.1f}×  "
                f"beyond input {ours['bytes_per_output_voxel']:.1f} B per output voxel"
            )
    return rows


def run_alone(path, kind, spacing, file, folder, arguments) -> dict:
    """One measurement in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(arguments.threads)]
    command += ["--measure", path, kind, spacing, str(file), str(folder)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{path} failed on {file}:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(path: str, kind: str, spacing: str, file: str, folder: str, *, threads: int) -> dict:
    function = {"gpuprep": gpuprep_case, "simpleitk": simpleitk_case}[path]
    target = tuple(float(value) for value in spacing.split(","))
    work = function(Path(file), Path(folder), kind, target, threads)  # imports are done
    baseline, cpu, start = peak_bytes(), cpu_seconds(), time.perf_counter()
    stages, input_bytes, output_voxels = work()
    wall = time.perf_counter() - start
    above = peak_bytes() - baseline
    return {
        "wall": wall,
        "cpu": cpu_seconds() - cpu,
        "peak_mb": above / 1e6,
        "bytes_per_output_voxel": (above - input_bytes) / output_voxels,
        "stages": stages,
    }


def gpuprep_case(file: Path, folder: Path, kind: str, spacing: tuple, threads: int):
    import math

    from threadpoolctl import threadpool_limits

    from gpuprep.case import Case, Source
    from gpuprep.config_file import parse_config
    from gpuprep.executors.task import read_rules
    from gpuprep.io.reader import read
    from gpuprep.output import claim
    from gpuprep.plan import CasePlan
    from gpuprep.worker import run_case

    config = parse_config(
        {
            "image": {
                "intensity": [
                    {"clip": {"low": CLIP[0], "high": CLIP[1]}},
                    {"rescale": {"to": [0, 1]}},
                ],
                "resample": {"spacing": spacing, "interpolation": kind},
            }
        }
    )
    rules = read_rules(config)
    claim(folder, config, overwrite=False)
    plan = CasePlan(Case("case", (Source(str(file)),)), str(folder), config.digest, threads=threads)

    def work():
        with threadpool_limits(1):
            record = run_case(plan, config, lambda source: read(source, rules))
        source, output = (record["geometry"][name]["shape"] for name in ("source", "output"))
        return record["timings"], 2 * math.prod(source), math.prod(output)

    return work


def simpleitk_case(file: Path, folder: Path, kind: str, spacing: tuple, threads: int):
    import numpy as np
    import SimpleITK as sitk
    import zarr

    from gpuprep.geometry import Geometry
    from gpuprep.grids import map_spacing

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    interpolator = {"cubic": sitk.sitkBSpline, "linear": sitk.sitkLinear}[kind]

    def work():
        clock = Clock()
        image = sitk.ReadImage(str(file))
        input_bytes = 2 * image.GetNumberOfPixels()
        clock("read")
        image = sitk.Clamp(image, sitk.sitkFloat32, *CLIP)
        clock("clip")
        x, y, z = image.GetSize()
        source = Geometry((z, y, x), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        grid = map_spacing(source, spacing).on(source)
        image = sitk.Resample(
            image, grid.size, sitk.Transform(), interpolator,
            grid.origin, grid.spacing, grid.direction, CLIP[0], sitk.sitkFloat32,
        )  # fmt: skip
        clock("resample")
        voxels = (sitk.GetArrayViewFromImage(image) - CLIP[0]) / np.float32(CLIP[1] - CLIP[0])
        voxels = np.clip(voxels, 0, 1).astype(np.float16)
        clock("rescale")
        shard = tuple(-(-n // 32) * 32 for n in voxels.shape)
        array = zarr.create_array(
            str(folder), shape=voxels.shape, dtype=voxels.dtype, chunks=(32, 32, 32), shards=shard,
            compressors=zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        )  # fmt: skip
        array[...] = voxels
        clock("store")
        return clock.stages, input_bytes, voxels.size

    return work


class Clock:
    """Seconds since the last call, by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage], self._last = now - self._last, now


def make_phantom(folder: Path) -> Path:
    """A CT-like int16 volume: body, lungs, bone, correlated noise of 18 HU, on 466×512×512."""
    import nibabel
    import numpy as np

    random = np.random.default_rng(0)
    z, y, x = np.ogrid[-1:1:466j, -1:1:512j, -1:1:512j]
    voxels = np.full((466, 512, 512), -1000, np.int16)
    voxels[np.broadcast_to((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, voxels.shape)] = 40
    for side in (-0.38, 0.38):
        lung = ((x - side) / 0.28) ** 2 + (y / 0.4) ** 2 + ((z - 0.3) / 0.6) ** 2 < 1
        voxels[lung] = -800
    voxels[np.broadcast_to(x**2 + (y - 0.4) ** 2 < 0.008, voxels.shape)] = 700
    for plane in voxels:
        noise = random.normal(0, 30, plane.shape).astype(np.float32)
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
        plane += noise.astype(np.int16)
    path = folder / "phantom.nii"
    nibabel.save(
        nibabel.Nifti1Image(voxels.transpose(2, 1, 0), np.diag([-0.78, -0.78, 1.0, 1.0])), path
    )
    return path


def peak_bytes() -> int:
    """High-water mark of this program's resident memory (``ru_maxrss`` would inherit the parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def cpu_seconds() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
