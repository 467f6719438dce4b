"""Whole cases on slots of the CUDA stand-in, and how far they are from what NumPy makes of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from device.test_device_worker import check_equal, config_of, make

from gpuprep.device.cuda import CudaDriver
from gpuprep.device.link import Gate, Link

SEEDS = range(int(os.environ.get("GPUPREP_SEEDS") or 3))
"""Orders of streams that are tried; a nightly run has 20."""

Job = tuple[str, tuple[str, ...]]  # a config of test_device_worker, and its channels' dtypes

NIGHTLY = len(SEEDS) > 3

JOBS: tuple[Job, ...] = (
    ("cubic", ("i2",)),
    ("foreground", ("i2", "u1")),
    ("linear", ("nan",)),
    ("separate", ("i2",)),
    ("turned", ("f4", "u1")),
    ("smooth", ("i2",)),
    ("kept grid", ("f4",)),
    ("filtered", ("i2", "u1")),
    *([("foreground", ("f4", "u1"))] * NIGHTLY),  # percentiles of float32 are 195 kernels
)


def open_slots(count: int, devices: int = 1) -> list[Link]:
    """Slots with small pieces, so that every volume takes several; spread over devices."""
    drivers = [CudaDriver(number) for number in range(devices)]
    gates = [Gate(1 << 28) for _ in drivers]
    pairs = list(zip(drivers, gates, strict=True))
    return [Link(*pairs[k % devices], piece_bytes=1 << 14) for k in range(count)]


@cache
def wanted(job: Job) -> Any:
    """What NumPy makes."""
    with TemporaryDirectory() as folder:
        return make(Path(folder), config_of(job[0]), None, job[1])


def made_by(slots: Sequence[Link], folder: Path, first: int = 0, turns: int = 3) -> list[Any]:
    """That many jobs by every slot, all slots at once, each beginning with another; with its job."""

    def work(number: int) -> list[Any]:
        jobs = [JOBS[(first + number + turn) % len(JOBS)] for turn in range(turns)]
        return [
            (job, make(folder / f"{number}-{turn}", config_of(job[0]), slots[number], job[1]))
            for turn, job in enumerate(jobs)
        ]

    with ThreadPoolExecutor(len(slots)) as pool:
        return [each for done in pool.map(work, range(len(slots))) for each in done]


def check_all(done: Sequence[Any]) -> None:
    """Everything as NumPy makes it, on the device and with nothing done otherwise than asked."""
    for job, made in done:
        check_equal(made, wanted(job))
        engine = made[0]["engine"]
        assert (engine["backend"], engine["fallbacks"]) == ("cupy", [])
