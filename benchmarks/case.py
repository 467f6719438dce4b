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
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import phantom
from paths import Stopwatch
from timing import forget_peak, resident_bytes, spent, threads_environment

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
    volumes = [("CT-like 466×512×512", write_phantom(folder), "1.5,1.5,1.5")]
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
    environment = threads_environment(arguments.threads)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{path} failed on {file}:\n{done.stderr}")
    return json.loads(done.stdout)


def measure(path: str, kind: str, spacing: str, file: str, folder: str, *, threads: int) -> dict:
    function = {"gpuprep": gpuprep_case, "simpleitk": simpleitk_case}[path]
    target = tuple(float(value) for value in spacing.split(","))
    work = function(Path(file), Path(folder), kind, target, threads)  # imports are done
    baseline = forget_peak()
    (stages, input_bytes, output_voxels), took = spent(work)
    above = resident_bytes("VmHWM") - baseline
    return {
        "wall": took.wall,
        "cpu": took.cpu,
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
        clock = Stopwatch()
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


def write_phantom(folder: Path) -> Path:
    import nibabel
    import numpy as np

    path = folder / "phantom.nii"
    x, y, z = phantom.SPACING
    image = nibabel.Nifti1Image(phantom.ct().T, np.diag([-x, -y, z, 1.0]))
    nibabel.save(image, path)
    return path


if __name__ == "__main__":
    main()
