"""Every allocation of a case fails once, and devices of every size: the case ends right, and says how."""

from __future__ import annotations

from pathlib import Path

import pytest
from device.cpucuda.fresh import fresh_process
from device.cpucuda.machine import Machine
from device.test_device_worker import check_equal, config_of, make
from support.device_cases import NIGHTLY, Job, open_slots, wanted

pytestmark = [
    pytest.mark.cpucuda,
    pytest.mark.filterwarnings("ignore:Using synchronous transfer"),  # CuPy's, of small tables
]

QUICK: list[Job] = [("cubic", ("i2",)), ("nonzero", ("f4",))]
SLOW: list[Job] = [
    ("foreground", ("f4",)),
    ("filtered", ("i2",)),
]  # percentiles of float32: 195 kernels
JOBS = QUICK + SLOW * NIGHTLY
ALLOCATIONS = ("cudaMalloc", "cudaHostAlloc")
MOST = 200  # calls of a case; beyond, the sweep would not be one


def allocations(machine: Machine, job: Job, folder: Path) -> dict[str, int]:
    """How often a case of a fresh process asks for memory."""
    with fresh_process():
        make(folder, config_of(job[0]), open_slots(1)[0], job[1])
        return {call: machine.counts()[call] for call in ALLOCATIONS}


def make_without(
    machine: Machine, call: str, after: int, times: int, job: Job, folder: Path
) -> bool:
    """Make a case while an allocation fails, and often the same again; whether it was told."""
    with fresh_process():
        (slot,) = open_slots(1)
        machine.fail(call, "cudaErrorMemoryAllocation", after=after, times=times)
        made = make(folder / "case", config_of(job[0]), slot, job[1])
        assert not slot.lost
        machine.forgive()
        check_equal(made, wanted(job))
        assert not machine.complaints()
        if job in SLOW or (after % 3 and not NIGHTLY):
            return bool(made[0]["engine"]["fallbacks"])
        following = make(folder / "next", config_of(job[0]), slot, job[1])
        check_equal(following, wanted(job))
        assert following[0]["engine"]["fallbacks"] == []
        return bool(made[0]["engine"]["fallbacks"])


@pytest.mark.parametrize("call", ALLOCATIONS)
@pytest.mark.parametrize("job", JOBS, ids=lambda job: job[0])
def test_every_allocation_of_a_case_fails_once(
    tmp_path: Path, cpucuda: Machine, job: Job, call: str
) -> None:
    count = allocations(cpucuda, job, tmp_path / "counted")[call]
    assert 2 <= count <= MOST
    for after in range(count):
        make_without(cpucuda, call, after, 1, job, tmp_path / str(after))


@pytest.mark.parametrize("call", ALLOCATIONS)
@pytest.mark.parametrize("job", JOBS if NIGHTLY else QUICK[:1], ids=lambda job: job[0])
def test_from_some_allocation_on_all_fail(
    tmp_path: Path, cpucuda: Machine, job: Job, call: str
) -> None:
    count = allocations(cpucuda, job, tmp_path / "counted")[call]
    told = [
        make_without(cpucuda, call, after, 0, job, tmp_path / str(after))
        for after in range(0, count, 1 if NIGHTLY else 6)
    ]
    # the last of pinned memory are CuPy's, for tables: copies of those are slower, and no more
    assert all(told) if call == "cudaMalloc" else told[0]


@pytest.mark.parametrize("job", JOBS if NIGHTLY else QUICK[1:], ids=lambda job: job[0])
def test_devices_of_every_size_do_the_case(tmp_path: Path, cpucuda: Machine, job: Job) -> None:
    ways = set()
    step = 48_000 if NIGHTLY else 180_000
    for size in (*range(4096, 700_000, step), 1 << 30):
        with fresh_process():
            cpucuda.set(memory=size)
            made = make(tmp_path / str(size), config_of(job[0]), open_slots(1)[0], job[1])
            check_equal(made, wanted(job))
            ways.add(tuple(made[0]["engine"]["fallbacks"]))
            assert cpucuda.device_bytes() <= size
    assert () in ways
    assert len(ways) >= 2
