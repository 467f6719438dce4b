"""Filters on one core: medians beside SciPy, CLAHE beside scikit-image, N4 beside ITK at full resolution.

    python benchmarks/filters.py --out filters.json

Needs scikit-image. CPU time of one thread; each tool is given the same volume, in turn.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.exposure import equalize_adapthist

from gpuprep.ops.bias import BiasRule, find_bias
from gpuprep.ops.clahe import clahe
from gpuprep.ops.median import median
from gpuprep.preprocess.diffusion import curvature_diffusion
from phantom import ct
from timing import fastest, machine, with_one_blas_thread


def mr(edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Tissues under a smooth field, with noise, and where they are."""
    z, y, x = np.meshgrid(*[np.linspace(-1, 1, edge)] * 3, indexing="ij")
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.75) ** 2)
    tissue = np.where(radius < 0.85, 900.0, 600.0) * (radius < 1)
    tissue[(np.abs(x) < 0.25) & (np.abs(y) < 0.3) & (np.abs(z) < 0.2)] = 300
    field = np.exp(0.25 * x + 0.15 * y * z - 0.2 * z * z + 0.1 * np.cos(2 * x))
    noise = np.random.default_rng(0).normal(0, 15, tissue.shape)
    image = np.clip(tissue * field + noise * (tissue > 0), 0, None).astype(np.float32)
    return image, (image > 0).astype(np.uint8)


def n4_of_itk(image: np.ndarray, mask: np.ndarray, rule: BiasRule) -> np.ndarray:
    work = sitk.N4BiasFieldCorrectionImageFilter()
    work.SetNumberOfThreads(1)
    work.SetMaximumNumberOfIterations(rule.iterations)
    work.SetConvergenceThreshold(rule.threshold)
    return sitk.GetArrayFromImage(
        work.Execute(sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask))
    )


def medians(volume: np.ndarray, size: int) -> dict[str, Any]:
    return {
        "gpuprep": lambda: median(volume, size),
        "theirs": lambda: ndimage.median_filter(volume, size, mode="nearest"),
    }


def row(found: dict[str, Any], inside: np.ndarray | slice = slice(None)) -> dict[str, Any]:
    """Seconds of both, their ratio and the largest difference, as a share of the range of theirs."""
    (ours, our_time), (theirs, their_time) = found["gpuprep"], found["theirs"]
    ours, theirs = (each.astype(np.float64, copy=False) for each in (ours, theirs))
    apart = np.abs(ours - theirs)[inside].max() / np.ptp(theirs[inside])
    return {
        "shape": list(ours.shape),
        "cpu": round(our_time.cpu, 3),
        "their_cpu": round(their_time.cpu, 3),
        "ratio": round(their_time.cpu / our_time.cpu, 1),
        "difference": float(apart),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shape", type=int, nargs=3, default=(120, 256, 256))
    options.add_argument("--edge", type=int, default=96, help="of the volume that N4 has")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    volume = ct(tuple(given.shape))
    ends = float(volume.min()), float(volume.max())
    share = (volume - ends[0]) / (ends[1] - ends[0])
    z, y, x = (max(length // 8, 1) for length in volume.shape)
    paths = {
        "gpuprep": lambda: clahe(volume, (z, y, x), ends),
        "theirs": lambda: equalize_adapthist(share, (z, y, x)),
    }
    rows = {"clahe": row(fastest(paths, given.rounds))}
    drawn = np.random.default_rng(0).random(volume.shape, np.float32)
    kinds = {"": volume, ", scaled": volume * np.float32(0.37), ", any float32": volume + drawn}
    for size in (3, 5):
        for kind, voxels in kinds.items():
            rows[f"median of {size}{kind}"] = row(fastest(medians(voxels, size), given.rounds))
    image, mask = mr(given.edge)
    rule = BiasRule()
    paths = {
        "gpuprep": lambda: image / find_bias(image, mask, rule).factor(),
        "theirs": lambda: n4_of_itk(image, mask, rule),
    }
    rows["n4"] = row(fastest(paths, given.rounds), mask != 0)
    rule = BiasRule(iterations=find_bias(image, mask).iterations, threshold=0.0)
    rows["n4, as many iterations"] = row(fastest(paths, 1), mask != 0)
    spacing = (2.0, 1.0, 1.0)
    _, took = fastest({"gpuprep": lambda: curvature_diffusion(volume, spacing)}, given.rounds)[
        "gpuprep"
    ]
    rows["curvature_diffusion"] = {"shape": list(volume.shape), "cpu": round(took.cpu, 3)}
    told = {"machine": machine(), "rows": rows}
    print(json.dumps(told, indent=1))
    if given.out:
        given.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    with_one_blas_thread()
    main()
