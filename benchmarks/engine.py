"""Each array operation by itself: gpuprep beside SciPy, SimpleITK, torch, NumPy and, on a GPU, cupyx.

    python benchmarks/engine.py [--rounds 3] [--threads 1 2] [--only cpu|cuda] [--out FILE]

Needs NumPy and SciPy; CuPy for the GPU; SimpleITK and torch where they are installed. What is missing is
left out, and the reason is printed. Two volumes: 466×512×512 int16 to 311×267×267 (CT-like), and
128×256×256 float32 to 320×333×333. gpuprep is told the range of the voxels, as in a case, where the
histogram comes first, and writes float16; the others write float32 and are not charged for the cast.

``differs`` is the largest difference from gpuprep's float32 result in units of the range; for label maps
and nearest, the share of voxels that differ (one output slice of the CT lies at an exact half, where
tools round either way). ``bytes`` must move: the source once and the result once. On a GPU the bound is
those bytes at the speed measured for a copy on the device, and the share of the bound counts the
kernels' time by CUDA events; ``wall`` counts everything until the device is idle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import phantom
from cpu_operations import cpu_rows
from device_operations import device_rows
from gpuprep.device.clock import CudaClock
from gpuprep.kernels.loader import cuda_engine
from operations import Row, Volume, volumes
from timing import machine, versions, with_one_blas_thread

RESULT = Path(__file__).parent / "results" / "engine.json"
PACKAGES = ("numpy", "scipy", "SimpleITK", "torch", "cupy-cuda12x", "cupy-cuda13x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--only", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    with_one_blas_thread()
    made = volumes(phantom.SHAPE)
    rows: list[Row] = []
    if arguments.only != "cuda":
        for threads in arguments.threads:
            rows += printed(cpu_rows(made, threads=threads, rounds=arguments.rounds))
    device: dict[str, Any] = {}
    if arguments.only != "cpu":
        device, found = on_gpu(made, arguments.rounds)
        rows += found
    record = {
        "machine": {**machine(), **device},
        "versions": versions(*PACKAGES),
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"\nwrote {arguments.out}")


def on_gpu(made: tuple[Volume, ...], rounds: int) -> tuple[dict[str, Any], list[Row]]:
    """What the GPU is and its rows; nothing where none answers."""
    try:
        clock = CudaClock()
    except Exception as reason:  # CuPy is absent, or no driver, or no device
        print(f"no GPU: {reason}")
        return {}, []
    bandwidth = clock.copy_bandwidth()
    print(f"{clock.name}: copies at {bandwidth / 1e9:.0f} GB/s")
    rows = printed(device_rows(cuda_engine(), clock, made, bandwidth=bandwidth, rounds=rounds))
    return {"gpu": clock.name, "copy_bytes_per_second": bandwidth}, rows


def printed(rows: Iterable[Row]) -> list[Row]:
    kept = []
    for row in rows:
        print(row, flush=True)
        kept.append(row)
    return kept


if __name__ == "__main__":
    main()
