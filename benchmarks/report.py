"""What the numbers and the report of a cohort take: of the demo, and of a cohort of very many small cases.

    python benchmarks/report.py --demo demo-out/cohort --cases 10000 --work FOLDER --json report.json

The demo's cohort is that of ``gpuprep demo``. The other is that of ``cohorts.py``, at the same place.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from cohorts import build
from timing import ROOT, machine, resident_bytes, with_one_blas_thread


def measure(output: Path) -> dict[str, float]:
    """Seconds and bytes of one cohort."""
    import gpuprep
    from gpuprep.quality.cohort_quality import CohortQuality
    from gpuprep.quality.report import report_of
    from gpuprep.quality.selection import Range

    began = time.perf_counter()
    cohort = gpuprep.open(output)
    table = cohort.table()
    read = time.perf_counter()
    quality = CohortQuality(table, cohort.agreement)
    overview = quality.to_json(quality.choose())
    seen = time.perf_counter()
    low = overview["measures"][0]["low"]
    quality.to_json(quality.choose([Range(overview["measures"][0]["name"], low=low)], "1"))
    narrowed = time.perf_counter()
    made = report_of(output)
    page_began = time.perf_counter()
    page = made.html()
    written = time.perf_counter()
    rows = made.csv()
    done = time.perf_counter()
    return {
        "cases": len(quality.ids),
        "measures": len(quality.measures),
        "pictures": len(made.content.pictures.urls),
        "index and table, s": round(read - began, 3),
        "all measures, first time, s": round(seen - read, 3),
        "the same of some cases, then, s": round(narrowed - seen, 4),
        "report: index and outliers, s": made.seconds["index"],
        "report: pictures, s": made.seconds["pictures"],
        "report: page, s": round(written - page_began, 3),
        "report, MB": round(len(page) / 1e6, 2),
        "csv, s": round(done - written, 3),
        "csv, MB": round(len(rows) / 1e6, 2),
        "peak memory, MB": round(resident_bytes("VmHWM") / 1e6),
    }


def apart(output: Path) -> dict[str, float]:
    """The same in a process of its own."""
    folders = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, __file__, "--measure", str(output)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders},
    )
    if done.returncode:
        raise SystemExit(f"{output} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="the demo's cohort")
    parser.add_argument("--cases", type=int, nargs="*", default=[10_000])
    parser.add_argument("--work", type=Path, help="a folder; cohorts there stay")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    columns = {"demo": apart(options.demo)} if options.demo else {}
    for number in options.cases if options.work else ():
        build(options.work / str(number), number)
        columns[str(number)] = apart(options.work / str(number) / "out")
    rows = {
        name: {head: each[name] for head, each in columns.items()}
        for name in next(iter(columns.values()))
    }
    print(f"{'':40}" + "".join(f"{head:>12}" for head in columns))
    for name, values in rows.items():
        print(f"{name:40}" + "".join(f"{value:12,.6g}" for value in values.values()))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    with_one_blas_thread()
    main()
