"""What a table costs: a whole case with and without one, and the operation alone beside its oracles.

    python benchmarks/curves.py [--shape 200 512 512] [--rounds 5] [--work FOLDER]

A whole case is a CT-like volume from `.nii.gz` to the committed case, to 1.5 mm and float16, by one
worker; configs take turns, and the least CPU time of each counts. Voxels of the float32 file have fractions.
Alone, an eighth of the voxels goes through the curve: NumPy's ``interp``, and scikit-image where it is there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

import gpuprep
import phantom
from gpuprep.config.file import parse_config
from gpuprep.config.intensity import IntensityStep
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.intensity import resolve_intensity
from timing import fastest, machine, versions, with_one_blas_thread

RESULT = Path(__file__).parent / "results" / "curves.json"
WINDOW: dict[str, Any] = {"clip": {"low": -1000, "high": 400}}
UNIT: dict[str, Any] = {"rescale": {"to": [0, 1]}}
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "no table": [WINDOW, UNIT],
    "gamma": [WINDOW, {"gamma": {"value": 0.7}}, UNIT],
    "log": [WINDOW, {"log": {}}, UNIT],
    "equalize": [WINDOW, {"equalize": {}}],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=(200, 512, 512))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with_one_blas_thread()
    voxels = phantom.ct(tuple(arguments.shape))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.work) as work:
        for kind in ("int16", "float32"):
            image = voxels.astype(kind) + (0.25 if kind == "float32" else 0)
            for row in (*whole_cases(image, Path(work), arguments.rounds), *alone(image, 3)):
                rows.append({"dtype": kind, **row})
                print(json.dumps(rows[-1]), flush=True)
    told = {"machine": machine(), "versions": versions("numpy", "scikit-image"), "rows": rows}
    arguments.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def whole_cases(image: np.ndarray, work: Path, rounds: int) -> Iterator[dict[str, Any]]:
    """CPU time of a case under each config, and its ratio to that without a table."""
    source = work / image.dtype.name
    source.mkdir()
    affine = np.diag([0.75, 0.75, 1.5, 1.0])
    nibabel.save(nibabel.Nifti1Image(image.T, affine), source / "case.nii.gz")

    def path(name: str) -> Callable[[], Any]:
        settings = {
            "image": {"intensity": CONFIGS[name], "resample": {"spacing": [1.5, 1.5, 1.5]}},
            "store": {"dtype": "float16", "fsync": "never"},
        }
        config = parse_config(settings)

        def work_once() -> float:
            with tempfile.TemporaryDirectory(dir=work) as output:
                done = gpuprep.run(source, Path(output) / "out", config=config, scheduler="serial")
                if done.exit_code:
                    raise RuntimeError(f"{name} went wrong")
                case = gpuprep.open(Path(output) / "out")["case"]
                return sum(case.record["timings"].values())

        return work_once

    best = fastest({name: path(name) for name in CONFIGS}, rounds)
    plain = best["no table"][1].cpu
    for name, (stages, took) in best.items():
        yield {
            "what": "whole case",
            "path": name,
            "cpu_s": round(took.cpu, 4),
            "stages_s": round(stages, 4),
            "ratio": round(took.cpu / plain, 4),
        }


def alone(image: np.ndarray, rounds: int) -> Iterator[dict[str, Any]]:
    """CPU time of the curve by itself, float32 out, and the largest difference of each from it."""
    part = image[: max(1, len(image) // 8)]
    steps = CONFIGS["equalize"]
    found = resolve_intensity(
        [IntensityStep(**step) for step in steps], measure(part), lambda: measure(part)
    )
    step = found.chain
    kept = np.clip(part, -1000, 400).astype(np.float64)
    middles = np.linspace(kept.min(), kept.max(), 513)[1::2]
    counts = np.histogram(kept, 256)[0]
    paths: dict[str, Callable[[], Any]] = {
        "gpuprep": lambda: step.apply(part),
        "numpy.interp": lambda: np.interp(
            np.clip(part, -1000, 400), middles, np.cumsum(counts) / part.size
        ),
    }
    try:
        from skimage import exposure

        paths["scikit-image"] = lambda: exposure.equalize_hist(
            np.clip(part, -1000, 400).astype(np.float32)
        )
    except ImportError:
        print("scikit-image is left out: it is not installed")
    best = fastest(paths, rounds)
    ours = best["gpuprep"]
    for name, (result, took) in best.items():
        yield {
            "what": "equalize alone",
            "path": name,
            "ns_per_voxel": round(1e9 * took.cpu / part.size, 2),
            "times_ours": round(took.cpu / ours[1].cpu, 2),
            "difference": float(abs(result - ours[0]).max()),
        }


if __name__ == "__main__":
    main()
