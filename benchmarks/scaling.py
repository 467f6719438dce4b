"""Throughput of real cases with one worker and with two: how well processes divide a machine.

    python benchmarks/scaling.py --scans FOLDER [--copies 96] [--rounds 1]

Runs of ``gpuprep`` over copies of a chest CT (lung1 of pyradiomics), each in a process of its own, in turns:
one worker on one core; one worker that has both cores; two workers. Rates are taken twice: over the whole
command, and between the first and the last case (``steady``), which leaves out the start of Dask.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from timing import ROOT, machine, threads_environment, versions

CONFIG = """\
image:
  intensity: [{clip: {low: -1000, high: 400}}, {zscore: {}}]
  resample: {spacing: [0.8, 0.8, 1.6], interpolation: cubic}
"""
PATHS = {"1 worker, 1 core": (1, 1), "1 worker, 2 cores": (1, 2), "2 workers, 2 cores": (2, 2)}


@dataclass(frozen=True)
class Row:
    """The fastest round of one path, in cases a second."""

    path: str
    whole: float
    steady: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "scaling.json"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpuprep-scaling-") as name:
        folder = Path(name)
        write_cohort(folder, arguments.scans, arguments.copies)
        measured = [
            (path, rates(folder, workers, cores, arguments.copies))
            for _ in range(arguments.rounds)
            for path, (workers, cores) in PATHS.items()
        ]
    rows = [
        Row(path, *(max(pair[k] for each, pair in measured if each == path) for k in (0, 1)))
        for path in PATHS
    ]
    print(f"{'':20}{'whole':>14}{'steady':>14}   cases/s, and × one worker on one core")
    for row in rows:
        whole, steady = (
            f"{value:.2f} {value / base:.2f}×"
            for value, base in ((row.whole, rows[0].whole), (row.steady, rows[0].steady))
        )
        print(f"{row.path:20}{whole:>14}{steady:>14}")
    record = {"machine": machine(), "versions": versions("distributed", "SimpleITK", "numpy")}
    table = {**record, "copies": arguments.copies, "rows": [asdict(row) for row in rows]}
    arguments.out.write_text(json.dumps(table, indent=1) + "\n")


def write_cohort(folder: Path, scans: Path, copies: int) -> None:
    """As many cases as copies, from one scan and its label map."""
    (folder / "in").mkdir()
    for number in range(copies):
        for source, name in (("lung1_image", "volume"), ("lung1_label", "segmentation")):
            target = folder / "in" / f"{name}-{number}.nrrd"
            shutil.copyfile(scans / "pyradiomics" / f"{source}.nrrd", target)
    (folder / "config.yaml").write_text(CONFIG)


def rates(folder: Path, workers: int, cores: int, cases: int) -> tuple[float, float]:
    """Cases a second: over the whole command, and from the end of the first case to that of the last."""
    output = folder / "out"
    shutil.rmtree(output, ignore_errors=True)
    line = [sys.executable, "-m", "gpuprep.cli.app", "run", str(folder / "in"), str(output)]
    options = ["-c", str(folder / "config.yaml"), "--workers", str(workers), "--no-progress"]
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    start = time.perf_counter()
    subprocess.run(
        ["taskset", "-c", ",".join(map(str, allowed)), *line, *options],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**threads_environment(1), "PYTHONPATH": str(ROOT)},
    )
    whole = time.perf_counter() - start
    written = sorted(file.stat().st_mtime for file in output.glob("cases/*.zarr/record.json"))
    assert len(written) == cases
    return cases / whole, (cases - workers) / (written[-1] - written[workers - 1])


if __name__ == "__main__":
    main()
