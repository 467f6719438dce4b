"""What surrounds the cases: how opening, filtering, sampling and resuming grow with their number.

    python benchmarks/cohorts.py --cases 1000 10000 --work FOLDER --json cohorts.json

Two small cases are stored by a run. One becomes all others: hard links to its files, and a record, an id and
source files of its own. The other is the only one with class 3. Each measurement has a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from timing import ROOT, machine, spent, with_one_blas_thread

SHAPE = (48, 48, 40)  # x, y, z as nibabel has it
PATCH = (32, 32, 32)
SAMPLES = 500
LABEL, COMMON, RARE = "segmentation", 1, 3
CONFIG = {"store": {"chunk": 32}}


def build(work: Path, number: int) -> None:
    """A cohort of so many cases in ``out``, and its input in ``in``."""
    import gpuprep
    from gpuprep.config.file import parse_config
    from gpuprep.ledger.index import rebuild_manifest

    source, out = work / "in", work / "out"
    if (work / "built").exists():
        return
    source.mkdir(parents=True)
    for place, name in enumerate((name_of(0), name_of(number // 2))):
        write_scan(source, name, rare=place == 1)
    gpuprep.run(source, out, config=parse_config(CONFIG), scheduler="serial")
    for place in range(number):
        if place not in (0, number // 2):
            copy_case(source, out, name_of(0), name_of(place))
    rebuild_manifest(out)
    (work / "built").touch()


def name_of(place: int) -> str:
    return f"{place:06}"


def write_scan(folder: Path, name: str, *, rare: bool) -> None:
    image = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.int16)
    label = np.zeros(SHAPE, np.uint8)
    label[4:20, 4:20, 4:20], label[30:36, 30:36, 9:19] = COMMON, 2
    if rare:
        label[-5:-2, -4:-2, -3:-1] = RARE
    for kind, voxels in (("volume", image), (LABEL, label)):
        file = folder / f"{kind}-{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.8, 0.8, 2, 1])), file)


def copy_case(source: Path, out: Path, first: str, name: str) -> None:
    """A further case, equal to the first in all but its id and the paths of its files."""
    from gpuprep.store.record import read_record, write_record

    for kind in ("volume", LABEL):
        (source / f"{kind}-{name}.nii.gz").hardlink_to(source / f"{kind}-{first}.nii.gz")
    old, new = (out / "cases" / f"volume-{each}.zarr" for each in (first, name))
    record = read_record(old)
    for file in record["files"]:
        (new / file).parent.mkdir(parents=True, exist_ok=True)
        (new / file).hardlink_to(old / file)
    record["case"] = f"volume-{name}"
    for row in record["source"]:
        row["path"] = row["path"].replace(f"-{first}.nii.gz", f"-{name}.nii.gz")
    write_record(new, record, durable=False)


def table(work: Path) -> dict[str, float]:
    """Open, and have all that records tell: as a table, or record by record where there is none."""
    import gpuprep

    def read() -> object:
        cohort = gpuprep.open(work / "out")
        if hasattr(cohort, "table"):
            return cohort.table()
        return [case.record for case in cohort.values()]

    took = spent(read)[1]
    return {"open and table, s": took.wall}


def filtered(work: Path) -> dict[str, float]:
    """Choose cases by their spacing."""
    import gpuprep
    from gpuprep.training import filter_cases

    def choose() -> object:
        cohort = gpuprep.open(work / "out")
        return filter_cases(cohort, lambda record: record["geometry"]["source"]["spacing"][2] < 9)

    return {"filter_cases, s": spent(choose)[1].wall}


def resumed(work: Path) -> dict[str, float]:
    """The same run again: nothing is to be done."""
    import gpuprep
    from gpuprep.cohort.discover import discover
    from gpuprep.config.file import parse_config

    found = spent(lambda: discover(work / "in"))[1]
    run: Callable[[], Any] = lambda: gpuprep.run(  # noqa: E731
        work / "in", work / "out", config=parse_config(CONFIG), scheduler="serial"
    )
    report, took = spent(run)
    assert report.finished.done == 0
    each = (took.cpu - found.cpu) / report.finished.skipped
    return {"run, all done, s": took.wall, "of it beyond discovery, CPU ms a case": 1e3 * each}


def verified(work: Path) -> dict[str, float]:
    from gpuprep.store.verify import verify_cohort

    found, took = spent(lambda: verify_cohort(work / "out"))
    assert not found
    return {"verify, s": took.wall}


def sampled(work: Path, name: str, sampler: Any) -> dict[str, float]:
    """The first sample, and then samples of which each opens a case that was not open."""
    from gpuprep.training import PatchDataset

    def begin() -> PatchDataset:
        dataset = PatchDataset(work / "out", patch=PATCH, sampler=sampler)
        dataset[0]
        return dataset

    dataset, first = spent(begin)
    number = min(SAMPLES, len(dataset))
    took = spent(lambda: [dataset[place] for place in range(1, number)])[1]
    told = {f"{name}: cold samples/s": (number - 1) / took.wall}
    again = spent(lambda: [dataset[place] for place in range(1, number)])[1]
    told[f"{name}: warm samples/s"] = (number - 1) / again.wall
    return {f"{name}: first sample, s": first.wall, **told}


def uniform(work: Path) -> dict[str, float]:
    from gpuprep.training import Uniform

    return sampled(work, "Uniform", Uniform())


def foreground(work: Path) -> dict[str, float]:
    from gpuprep.training import Foreground

    return sampled(work, "Foreground", Foreground(LABEL))


def common(work: Path) -> dict[str, float]:
    from gpuprep.training import Balanced

    return sampled(work, "Balanced, a class that all have", Balanced(LABEL, (COMMON,)))


def rare(work: Path) -> dict[str, float]:
    from gpuprep.training import Balanced

    return sampled(work, "Balanced, a class of one case", Balanced(LABEL, (RARE,)))


def grid(work: Path) -> dict[str, float]:
    from gpuprep.training import Grid

    return sampled(work, "Grid", Grid())


MEASURED = (table, filtered, resumed, verified, uniform, foreground, common, rare, grid)


def measure(work: Path, name: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    folders = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, __file__, "--measure", name, "--work", str(work)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": folders}
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--work", type=Path, required=True, help="a folder; cohorts there stay")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps({each.__name__: each for each in MEASURED}[options.measure](options.work)))
        return
    rows: dict[str, dict[str, float]] = {}
    for number in options.cases:
        build(options.work / str(number), number)
        for each in MEASURED:
            for row, value in measure(options.work / str(number), each.__name__).items():
                rows.setdefault(row, {})[str(number)] = value
    print(f"{'':52}" + "".join(f"{number:>12,}" for number in options.cases))
    for row, values in rows.items():
        print(f"{row:52}" + "".join(f"{values[str(n)]:12.4g}" for n in options.cases))
    if options.json:
        told = {"machine": machine(), "samples": SAMPLES, "rows": rows}
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    with_one_blas_thread()
    main()
