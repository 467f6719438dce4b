"""One worker over many volumes: how much slots overlap, and whether memory stays flat.

    python benchmarks/slots.py [--backend cupy] [--slots 1 3] [--cases 500] [--out FILE]

Every case is a CT-like volume of its own size, read from disk, clipped, rescaled, resampled to 1.5 mm and
stored as float16, as in a run. The slots are threads of one process, as in a worker. Memory is sampled
as cases finish: of the process (pinned memory included) and, on a GPU, of the device.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import nibabel
import numpy as np
from threadpoolctl import threadpool_limits

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.executors.task import perform_in_slot
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, LabelSource, Source
from phantom import SPACING, ct, labels
from timing import machine, versions

SHAPES = ((300, 512, 512), (180, 400, 400), (233, 448, 448))
CONFIG = {
    "image": {
        "intensity": [{"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}}],
        "resample": {"spacing": [1.5, 1.5, 1.5], "interpolation": "cubic"},
    }
}


@dataclass(frozen=True)
class Row:
    """What a number of slots took."""

    backend: str
    slots: int
    cases: int
    wall: float
    stages: dict[str, float]
    """Seconds of each stage, over all cases."""
    process_bytes: list[int]
    """Memory of the process after each tenth of the cases."""
    device_bytes: list[int]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=("numpy", "cupy"), default="cupy")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "slots.json"
    )
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="gpuprep-bench-") as folder:
        sources = write_volumes(Path(folder), SHAPES)
        for slots in arguments.slots:
            row = run_slots(Path(folder), sources, arguments.backend, slots, arguments.cases)
            rows.append(row)
            print(report(row, rows[0]))
    record = {
        "machine": machine(),
        "versions": versions("numpy", "cupy-cuda13x", "cupy-cuda12x"),
        "rows": [asdict(row) for row in rows],
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    print(f"wrote {arguments.out}")


def write_volumes(folder: Path, shapes: Sequence[tuple[int, int, int]]) -> list[tuple[str, str]]:
    """Uncompressed NIfTI files, so that reading is not all there is: (image, label) of each shape."""
    files = []
    for number, shape in enumerate(shapes):
        names = str(folder / f"{number}.nii"), str(folder / f"{number}_label.nii")
        for name, voxels in zip(names, (ct(shape), labels(shape)), strict=True):
            nibabel.save(nibabel.Nifti1Image(voxels.T, np.diag([*SPACING, 1.0])), name)
        files.append(names)
    return files


def run_slots(
    folder: Path, sources: Sequence[tuple[str, str]], backend: str, slots: int, cases: int
) -> Row:
    """The cases through a pool of slots, each with a workplace of its own."""
    output = folder / f"out-{slots}"
    config: Config = parse_config(CONFIG)
    output.mkdir()
    claim(output, config, overwrite=False)
    threads = max(1, (os.cpu_count() or 1) // slots)
    process_bytes, device_bytes, stages = [], [], Counter[str]()

    def one(number: int) -> None:
        image, label = sources[number % len(sources)]
        labelled = (LabelSource((Source(label),)),)
        case = Case(f"case{number % 20}", (Source(image),), labelled)  # disk for twenty is enough
        plan = CaseTask(
            case, str(output), config.digest, backend=backend, threads=threads, replace=True
        )  # type: ignore[arg-type]
        outcome = perform_in_slot(plan.to_json())
        assert outcome.done, outcome
        stages.update(dict(outcome.stage_seconds))
        if number % max(1, cases // 10) == 0:
            process_bytes.append(resident())
            device_bytes.append(device_memory(backend))

    with threadpool_limits(1), ThreadPoolExecutor(slots) as pool:
        list(pool.map(one, range(slots)))  # started, compiled and warmed up
        stages.clear()
        start = time.perf_counter()
        list(pool.map(one, range(cases)))
        wall = time.perf_counter() - start
    seconds = {name: round(value, 3) for name, value in stages.items()}
    return Row(backend, slots, cases, wall, seconds, process_bytes, device_bytes)


def report(row: Row, first: Row) -> str:
    """A line for people."""
    gain = first.wall / row.wall * row.cases / first.cases
    memory = f"process {row.process_bytes[0] / 1e6:.0f} → {row.process_bytes[-1] / 1e6:.0f} MB"
    if any(row.device_bytes):
        memory += f", device {row.device_bytes[0] / 1e6:.0f} → {row.device_bytes[-1] / 1e6:.0f} MB"
    stages = ", ".join(f"{name} {value / row.cases:.3f}" for name, value in row.stages.items())
    return (
        f"{row.backend} {row.slots} slots: {row.cases / row.wall:.2f} cases/s "
        f"({gain:.2f}×), {memory}; seconds a case: {stages}"
    )


def resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) * 1024 if found else 0


def device_memory(backend: str) -> int:
    """Bytes taken on the device, by anybody."""
    if backend != "cupy":
        return 0
    import cupy

    free, total = cupy.cuda.runtime.memGetInfo()
    return int(total - free)


if __name__ == "__main__":
    main()
