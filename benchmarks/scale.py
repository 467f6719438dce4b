"""The coordinator at the scale of a national archive: what it costs per case, and where it saturates.

    python benchmarks/scale.py [--cases 100000] [--workers 10 100 1000] [--faults 0.01] [--dask 2]

The rows ``simulated`` drive ``gpuprep.run`` itself, from a manifest of so many cases to its report, over a
cluster that is not there: cases take the stage times that ``peers.py`` measured, and the coordinator's CPU
time passes on the simulated clock, with what Dask takes beside it. ``busy`` is the share of the workers'
time that they had a case. The row ``dask`` hands cases that do nothing to real Dask workers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuprep.running.batches import MOST_TOGETHER
from simulation import CASE_SECONDS, TASK_SECONDS
from timing import ROOT, machine, versions

HEADER = ("cluster", "workers", "cases", "cases/s", "busy", "CPU/case", "first", "growth", "peak")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--workers", type=int, nargs="*", default=[10, 100, 1000])
    parser.add_argument("--faults", type=float, default=0.01, help="share of attempts that fail")
    parser.add_argument("--dask", type=int, default=2, help="real Dask workers; 0 for none")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "scale.json"
    )
    arguments = parser.parse_args()
    requests = [
        {"cluster": "simulated", "workers": workers, "faults": arguments.faults}
        for workers in arguments.workers
    ]
    if arguments.dask:
        requests.append({"cluster": "dask", "workers": arguments.dask, "faults": 0.0})
    print("".join(f"{word:>11}" for word in HEADER))
    rows = []
    with tempfile.TemporaryDirectory(prefix="gpuprep-scale-") as folder:
        manifest = write_manifest(Path(folder), arguments.cases)
        for number, request in enumerate(requests):
            output = str(Path(folder) / f"out{number}")
            row = measure({**request, "input": str(manifest), "output": output})
            rows.append({name: row[name] for name in row if name not in ("input", "output")})
            print(report(rows[-1]), flush=True)
    print(saturation([row for row in rows if row["cluster"] == "simulated"]))
    record = {"machine": machine(), "versions": versions("dask", "distributed"), "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def write_manifest(folder: Path, cases: int) -> Path:
    """A manifest of so many cases in folders of a thousand, each with an (empty) file of its own."""
    for number in range(cases):
        image = folder / f"input/{number // 1000:04}/case_{number:07}.nii.gz"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    manifest = folder / "input/cases.csv"
    with manifest.open("w") as file:
        file.write("case_id,image\n")
        for number in range(cases):
            file.write(f"case_{number:07},{number // 1000:04}/case_{number:07}.nii.gz\n")
    return manifest


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """One run in a process of its own, so that memory starts afresh."""
    folders = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("scale_run.py"), json.dumps(request)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": folders, "OPENBLAS_NUM_THREADS": "1"},
    )
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def report(row: dict[str, Any]) -> str:
    cells = (
        row["cluster"],
        f"{row['workers']}",
        f"{row['done'] + row['failed']:,}",
        f"{row['cases_per_second']:.1f}",
        f"{row['busy']:.1%}" if row["busy"] is not None else "",
        f"{1e3 * row['cpu_per_case']:.2f} ms",
        f"{row['first_result']:.2f} s",
        f"{row['growth_bytes'] / 2**20:.1f} MiB",
        f"{row['peak_bytes'] / 2**20:.0f} MiB",
    )
    return "".join(f"{cell:>11}" for cell in cells)


def saturation(rows: Sequence[dict[str, Any]]) -> str:
    """How many cases, and so how many workers, one coordinator keeps busy."""
    if not rows:
        return ""
    own = min(row["cpu_per_case"] for row in rows)
    most = 1 / (own + CASE_SECONDS + TASK_SECONDS / MOST_TOGETHER)
    workers = most * rows[0]["seconds_per_case"]
    return (
        f"one coordinator hands out at most {most:,.0f} cases a second: "
        f"it saturates at {workers:,.0f} workers of {rows[0]['seconds_per_case']:.2f} s a case"
    )


if __name__ == "__main__":
    main()
