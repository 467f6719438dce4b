"""Readers in processes and threads, mixed, while a case is replaced all the time: old or new, never a mix.

Every voxel tells its place and the version of its case. ``GPUPREP_HAMMER_SECONDS=60 pytest -m slow
tests/test_hammer.py`` hammers for a minute.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpuprep.store import layout
from gpuprep.store.case import write_case
from gpuprep.store.commit import Staging
from gpuprep.store.layout import case_folder
from gpuprep.store.open_shard import ReadPolicy
from gpuprep.store.record import write_record
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import StoreError
from gpuprep.values.geometry import Geometry

SECONDS = float(os.environ.get("GPUPREP_HAMMER_SECONDS", "15"))
PROCESSES, THREADS = 4, 2
READS_OPEN = 7  # files that stay open stay those of the old case
SHAPE = (40, 50, 60)
STEP = 1 << 12  # versions wrap around at this, so that place and version both fit into 32 bits
PLACES = STEP * np.arange(np.prod(SHAPE), dtype=np.int64).reshape(SHAPE)
POLICIES = [
    ReadPolicy(),
    ReadPolicy(crc="first"),
    ReadPolicy(access="pread"),
    ReadPolicy(crc="never", threads=2),
]


def voxels_of(version: int) -> np.ndarray:
    return (PLACES + version % STEP).astype(np.uint32)


def commit_version(root: Path, case_id: str, version: int) -> None:
    with Staging(root, case_id) as staging:
        files = write_case(
            staging.folder,
            image=voxels_of(version),
            labels={"place": voxels_of(version)},
            geometry=Geometry(SHAPE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
            chunk=8,
            codec=("balanced", "fast")[version % 2],
            durable=False,
        )
        write_record(staging.folder, {"files": files}, durable=False)
        assert staging.publish(replace=True, durable=False)


def version_of(patch: np.ndarray, box: tuple[slice, ...]) -> int:
    """The version that all voxels of a patch have; any other voxel is a failure."""
    versions = np.unique(patch - PLACES[box])
    assert len(versions) == 1, f"voxels of versions {versions[:5]} at {box}"
    assert 0 <= versions[0] < STEP, f"voxels of another place at {box}"
    return int(versions[0])


def boxes(seed: int) -> Iterator[tuple[slice, ...]]:
    random = np.random.default_rng(seed)
    while True:
        ends = np.sort([random.integers(0, np.array(SHAPE) + 1) for _ in range(2)], axis=0)
        if (ends[0] < ends[1]).all():
            yield tuple(slice(*pair) for pair in ends.T.tolist())


def read_until(end: float, cases: list[StoredCase], seed: int, found: dict[str, list[int]]) -> None:
    """Read patches of image and label; the image and the label of an open case have one version."""
    for number, box in enumerate(boxes(seed)):
        if time.monotonic() > end:
            return
        case = cases[number % len(cases)]
        if number % READS_OPEN == 0:
            case.close()  # under the hands of other threads, too
        try:
            seen = {version_of(array[box], box) for array in (case.image, case.labels["place"])}
        except StoreError as error:
            if not was_replaced(error):
                raise
            cases[number % len(cases)] = reopened(case)
            continue
        assert len(seen) == 1, f"image and label of versions {seen}"
        found.setdefault(case.id, []).extend(seen)


def was_replaced(error: StoreError) -> bool:
    """Whether it is the one error a reader may meet; a corrupt file is another kind."""
    return type(error) is StoreError and "replaced" in str(error)


def reopened(case: StoredCase) -> StoredCase:
    """The case that has the place now; it may be replaced again while it is opened."""
    while True:
        try:
            return StoredCase(case.path, case._policy)
        except StoreError as error:
            if not was_replaced(error):
                raise


def hammer(end: float, cases: list[StoredCase], number: int, report: Path) -> None:
    """One process of readers: half of them with cases that were open before the fork."""
    found: dict[str, list[int]] = {}
    faults: list[str] = []

    def guarded(seed: int) -> None:
        try:
            own = cases if seed % 2 else [reopened(case) for case in cases]
            read_until(end, list(own), seed, found)
        except BaseException as error:
            faults.append(repr(error))

    readers = [
        threading.Thread(target=guarded, args=(number * THREADS + k,)) for k in range(THREADS)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    counts = {name: (len(seen), len(set(seen))) for name, seen in found.items()}
    report.write_text(json.dumps({"faults": faults, "counts": counts}))


@pytest.mark.slow
def test_no_wrong_voxel_and_no_mix_of_two_cases(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "SHARD_LIMIT", 1000)
    monkeypatch.setattr(layout, "SHARD_EDGE", 16)  # many shards, opened at different times
    for name in ("still", "moving"):
        commit_version(tmp_path, name, 0)
    end = time.monotonic() + SECONDS
    processes = []
    for number in range(PROCESSES):
        cases = [
            StoredCase(case_folder(tmp_path, name), POLICIES[number])
            for name in ("still", "moving")
        ]
        report = tmp_path / f"{number}.json"
        processes.append(
            multiprocessing.get_context("fork").Process(
                target=hammer, args=(end, cases, number, report)
            )
        )
    for process in processes:
        process.start()
    version = 0
    while time.monotonic() < end:
        version += 1
        commit_version(tmp_path, "moving", version)
    for process in processes:
        process.join(60)
    reports = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(PROCESSES)]
    assert [report["faults"] for report in reports] == [[]] * PROCESSES
    assert all(report["counts"]["still"][1] == 1 for report in reports)
    reads, versions = zip(*(report["counts"]["moving"] for report in reports), strict=True)
    assert sum(reads) > 20
    assert max(versions) > 1  # readers did meet a replaced case
