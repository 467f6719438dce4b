"""What a service does under load: submissions, pages, events, chunks, volumes, and a job beside readers.

    python benchmarks/service.py --work FOLDER --cases 100000 --json service.json

The service is a process of its own on loopback, and all clients are this one, on the same processors. Beside
a job, clients once have its priority and once the lowest, as ``beside`` says. Files of the large input are
hard links to a few.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import yaml

from beside import beside
from load import Door, follow, quantiles, ranges
from timing import ROOT, machine, versions, with_one_blas_thread

SUBSCRIBERS = 200
LINKS = 30_000  # to one file; ext4 allows 65,000
BRAIN = {"image": {"resample": {"spacing": [2, 2, 2], "interpolation": "cubic"}}}


@contextlib.contextmanager
def service(work: Path, roots: dict[str, Path], **settings: Any) -> Iterator[Door]:
    """A service with those roots, and an admin's token for it."""
    folder = work / "service"
    folder.mkdir(parents=True, exist_ok=True)
    tree = {"roots": {name: str(path) for name, path in roots.items()}, **settings}
    (folder / "service.yaml").write_text(yaml.safe_dump(tree))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    gpuprep = [sys.executable, "-m", "gpuprep.cli.app"]
    serve = [*gpuprep, "serve", "--folder", str(folder)]
    token = subprocess.run(
        [
            *gpuprep,
            "serve",
            "token",
            f"b{time.time_ns()}",
            "--scope",
            "admin",
            "--folder",
            str(folder),
        ],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    process = subprocess.Popen(
        [*serve, "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        door = Door(process.stdout.readline().strip(), token, process.pid)
        door.wait()
        yield door
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def write_scan(path: Path, size: int = 48) -> None:
    voxels = np.random.default_rng(0).normal(0, 100, (size, size, size)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1, 1, 1])), path)


def large_input(folder: Path, number: int) -> Path:
    """A folder of so many files, hard links to a few."""
    if (folder / "built").exists():
        return folder / "in"
    (folder / "in").mkdir(parents=True)
    for place in range(number):
        path = folder / "in" / f"scan-{place:06}.nii.gz"
        if place % LINKS == 0:
            first = path
            write_scan(path, 16)
        else:
            path.hardlink_to(first)
    (folder / "built").touch()
    return folder / "in"


def accepted(door: Door, cases: int) -> dict[str, float]:
    """A job of very many cases, from the request to the answer; it is cancelled at once."""
    seconds = []
    for number in range(3):
        body = {"root": "large", "output": f"large-{number}", "executor": "serial", "limit": cases}
        began = time.perf_counter()
        job = door.post("/v1/jobs", body)
        seconds.append(time.perf_counter() - began)
        door.post(f"/v1/jobs/{job['id']}/cancel", {})
    return {f"accept a job of {cases:,} cases, s": round(sorted(seconds)[1], 2)}


def pages(door: Door) -> dict[str, float]:
    """Pages of jobs and of cases, each 300 times."""
    found = {}
    for name, path in (
        ("page of 100 jobs", "/v1/jobs"),
        ("page of 100 cases of a large cohort", "/v1/cohorts/many/cases"),
        ("a cohort of many cases", "/v1/cohorts/many"),
    ):
        seconds = [door.timed(path) for _ in range(300)]
        found |= {f"{name}, {which} ms": value for which, value in quantiles(seconds).items()}
    return found


def events(door: Door, jobs: Path) -> dict[str, float]:
    """Subscribers of one job, and lines written to its file: how late each of them hears."""
    seconds, lost = asyncio.run(follow(door, jobs, SUBSCRIBERS))
    told = {f"{SUBSCRIBERS} followers of events, {k} ms": v for k, v in quantiles(seconds).items()}
    return {**told, "events lost": lost}


def chunks(door: Door, cohort: str, path: str, seconds: float = 5.0) -> dict[str, float]:
    """Ranges of 12 kB of one shard, over eight connections."""
    rate = asyncio.run(ranges(door, f"/v1/zarr/{cohort}/{path}", connections=8, seconds=seconds))
    return {"ranges of 12 kB a second": round(rate)}


def one_volume(door: Door, brain: str) -> dict[str, float]:
    """One 2 mm brain by path, fifty times; then many at once."""
    body = {"root": "brain", "path": brain}
    door.post("/v1/process?profile=brain", body, raw=True)
    seconds = [door.timed("/v1/process?profile=brain", body) for _ in range(50)]
    told = {f"one 2 mm brain by path, {k} ms": v for k, v in quantiles(seconds).items()}
    refused = asyncio.run(door.crowd("/v1/process?profile=brain", body, 40))
    return {**told, "refused for overload, p50 ms": quantiles(refused)["p50"] if refused else 0.0}


def inputs(options: argparse.Namespace) -> tuple[dict[str, Path], dict[str, Any]]:
    """The roots and the profiles of the service; made where they are not there."""
    small = options.work / "small"
    small.mkdir(parents=True, exist_ok=True)
    for number in range(40):
        if not (small / f"scan-{number}.nii.gz").exists():
            write_scan(small / f"scan-{number}.nii.gz", 96)
    roots = {"large": large_input(options.work / "large", options.cases), "small": small}
    profiles = {}
    if options.brain:
        roots["brain"] = options.brain.parent
        profiles = {"brain": {"config": BRAIN, "slots": 1, "queue": 4}}
    cohorts = options.work / "service" / "cohorts"
    cohorts.mkdir(parents=True, exist_ok=True)
    if options.cohort and not (cohorts / "many").exists():
        (cohorts / "many").symlink_to(options.cohort.resolve())
    return roots, profiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("service-load"))
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--cohort", type=Path, help="an output of many cases, for its pages")
    parser.add_argument("--brain", type=Path, help="a .nii.gz of a brain at 1 mm")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    roots, profiles = inputs(options)
    cohorts = options.work / "service" / "cohorts"
    rows: dict[str, float] = {}

    def add(found: dict[str, float]) -> None:
        rows.update(found)
        for name, value in found.items():
            print(f"{name:52}{value:12,.6g}", flush=True)

    with service(
        options.work, roots, profiles=profiles, limits={"streams": 2 * SUBSCRIBERS}
    ) as door:
        first = door.post(
            "/v1/jobs", {"root": "small", "output": "first", "executor": "serial", "limit": 4}
        )
        door.ended(first["id"])
        shard = next((cohorts / "first" / "cases").glob("*.zarr")) / "0/c.0.0.0"
        path = str(shard.relative_to(cohorts / "first"))
        measured: list[Callable[[], dict[str, float]]] = [
            lambda: accepted(door, options.cases),
            lambda: events(door, options.work / "service" / "jobs"),
            lambda: chunks(door, "first", path),
            lambda: beside(door, f"/v1/zarr/first/{path}"),
        ]
        if options.cohort:
            measured.insert(1, lambda: pages(door))
        if options.brain:
            measured.append(lambda: one_volume(door, options.brain.name))
        for each in measured:
            add(each())
        add({"memory of the service at its peak, MB": round(door.peak_bytes() / 1e6)})
    if options.json:
        told = {
            "machine": machine(),
            "versions": versions("fastapi", "starlette", "uvicorn", "httptools"),
            "rows": rows,
        }
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    with_one_blas_thread()
    main()
