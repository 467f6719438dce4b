"""What chunk-aligned patches save and give up: bytes and CPU time of a patch, and how many patches there are.

python benchmarks/aligned.py --scans FOLDER --out aligned.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.store.case import write_case
from gpuprep.store.layout import case_folder
from gpuprep.store.open_shard import OpenShard, ReadPolicy
from gpuprep.store.reader import open_cohort
from gpuprep.store.record import write_record
from gpuprep.training import PatchDataset
from gpuprep.values.geometry import Geometry
from scans import scans
from timing import cpu_seconds, machine, versions, with_one_blas_thread

EDGES = (64, 96, 128)
PATCHES = 200
CHUNK = 32


def store(root: Path, voxels: np.ndarray) -> None:
    """One case ``kim`` with one shard, float16."""
    folder = case_folder(root, "kim")
    image, grid = voxels.astype(np.float16), Geometry(voxels.shape)
    files = write_case(folder, image=image, labels={}, geometry=grid, chunk=CHUNK, durable=False)
    write_record(folder, {"files": files}, durable=False)


def chunk_bytes(root: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Compressed bytes of every chunk of the case; 0 for those that are not stored."""
    path = case_folder(root, "kim") / "0/c.0.0.0"
    grid = [-(-n // CHUNK) for n in shape]
    return np.maximum(
        OpenShard(os.open(path, os.O_RDONLY), path, grid, ReadPolicy()).index[..., 1], 0
    )


def measure(root: Path, edge: int, *, aligned: bool) -> dict[str, Any]:
    """Means over patches of one edge, and the number of different places one may lie at."""
    cohort = open_cohort(root)
    shape = cohort["kim"].geometry.shape
    patch = tuple(min(edge, n) for n in shape)
    dataset = PatchDataset(cohort, patch=patch, samples=PATCHES, chunk_aligned=aligned)
    sizes, touched = chunk_bytes(root, shape), []
    for sample in dataset:  # once unmeasured, so that the file is in the page cache
        box = tuple(
            slice(low // CHUNK, -(-(low + n) // CHUNK))
            for low, n in zip(sample["start"], patch, strict=True)
        )
        touched.append((sizes[box].sum(), sizes[box].size))
    dataset.set_epoch(0)
    before = cpu_seconds()
    read = sum(sample["image"].size for sample in dataset)
    spent = cpu_seconds() - before
    step = CHUNK if aligned else 1
    stored, chunks = np.mean(touched, axis=0).tolist()
    return {
        "patch": patch,
        "aligned": aligned,
        "kilobytes": round(stored / 1000, 1),
        "chunks": round(chunks, 2),
        "decoded_per_voxel": round(chunks * CHUNK**3 * PATCHES / read, 2),
        "cpu_ms": round(1000 * spent / PATCHES, 3),
        "places": math.prod((n - p) // step + 1 for n, p in zip(shape, patch, strict=True)),
    }


def main() -> None:
    with_one_blas_thread()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    volumes: dict[str, Any] = {}
    for scan in scans(options.scans):
        with tempfile.TemporaryDirectory() as folder:
            store(Path(folder), scan.voxels)
            rows = [
                measure(Path(folder), edge, aligned=aligned)
                for edge in EDGES
                for aligned in (False, True)
            ]
        volumes[f"{scan.name} {'×'.join(map(str, scan.voxels.shape))}"] = rows
    found = {"machine": machine(), "versions": versions("numpy", "numcodecs"), "volumes": volumes}
    print(text := json.dumps(found, indent=1, ensure_ascii=False))
    if options.out:
        options.out.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
