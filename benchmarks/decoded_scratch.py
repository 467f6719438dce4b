"""Whether decoded cases are worth keeping (``run.scratch``): reading files beside keeping and taking a case.

    python benchmarks/decoded_scratch.py --scans FOLDER --work FOLDER

CPU milliseconds per MB of voxels, image and label map together, on one core; the best of some rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import SimpleITK as sitk

import clinical
import phantom
from gpuprep.config.file import parse_config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.preprocess.assemble import assemble
from gpuprep.preprocess.decoded_cases import KeptCase
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.findings import Findings
from timing import machine, with_one_blas_thread

SHAPE: phantom.Shape = (200, 512, 512)
_BUDGET = 1 << 40


def cases(
    work: Path, scans: Path, shape: phantom.Shape = SHAPE
) -> Iterator[tuple[str, Path, Path]]:
    """A name, an image and its label map each."""
    image, label, _ = clinical.case(shape, 0)
    for name, ending in (("CT phantom", ".nii.gz"), ("CT phantom, not compressed", ".nii")):
        files = work / f"image{ending}", work / f"label{ending}"
        for array, file in zip((image, label), files, strict=True):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(file))
        yield name, *files
    for name, stem in (("CT of a chest, NRRD", "lung1"), ("MR of a head, NRRD", "brain1")):
        pair = [scans / "pyradiomics" / f"{stem}_{kind}.nrrd" for kind in ("image", "label")]
        if all(file.exists() for file in pair):
            yield name, pair[0], pair[1]


def row_of(name: str, image: Path, label: Path, work: Path, rounds: int) -> dict[str, Any]:
    """What reading, keeping and taking cost, and the bytes of the kept file over those of the voxels."""
    scratch = {"folder": str(work.absolute() / "scratch"), "bytes": _BUDGET}
    config = parse_config({"run": {"scratch": scratch}})
    case = Case("case", (Source(str(image)),), (LabelSource((Source(str(label)),)),))
    kept = KeptCase(CaseTask(case, str(work), ""), config)

    def files() -> Any:
        return assemble(case, config, lambda source: read(source, ReadRules()), Findings())

    assembled = files()
    size = assembled.decoded_bytes
    told = {
        "read": fastest(files, rounds),
        "keep": fastest(lambda: kept.keep(assembled, [], _BUDGET), rounds),
        "take": fastest(kept.take, rounds),
    }
    if kept.take() is None:
        raise RuntimeError(f"{name} was not kept")
    share = kept.file.stat().st_size / size
    kept.drop()
    rates = {what: round(seconds / size * 1e9, 3) for what, seconds in told.items()}
    return {"case": name, "megabytes": round(size / 1e6, 1), **rates, "share": round(share, 3)}


def fastest(work: Callable[[], Any], rounds: int) -> float:
    """CPU seconds of the best round."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def report(rows: Sequence[dict[str, Any]]) -> str:
    lines = [f"{'ms/MB':28}{'MB':>8}{'read':>8}{'keep':>8}{'take':>8}{'of the bytes':>14}"]
    for row in rows:
        times = "".join(f"{row[what]:8.2f}" for what in ("read", "keep", "take"))
        lines.append(f"{row['case']:28}{row['megabytes']:8.1f}{times}{row['share']:13.0%} ")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--scans", type=Path, default=Path(os.environ.get("GPUPREP_TEST_DATA", "."))
    )
    parser.add_argument("--work", type=Path, required=True, help="a folder on the disk in question")
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE, metavar="N")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = [
        row_of(*each, options.work, options.rounds)
        for each in cases(options.work, options.scans, tuple(options.shape))
    ]
    print(report(rows))
    if options.json:
        found = {"machine": machine(), "rows": rows}
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    with_one_blas_thread()
    main()
