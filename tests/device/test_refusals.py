"""Any call of CUDA's fails once, in any moment of a case: NumPy does the case, and the record says why."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from device.cpucuda.fresh import fresh_process
from device.cpucuda.machine import Machine
from device.test_device_worker import check_equal, config_of, make
from support.device_cases import NIGHTLY, Job, open_slots, wanted

pytestmark = [
    pytest.mark.cpucuda,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

JOB: Job = ("nonzero", ("f4",))
CALLS = (
    *("cuLaunchKernel", "cudaMemcpyAsync", "cudaMemsetAsync", "cudaMalloc"),
    *("cudaEventCreateWithFlags", "cudaEventRecord", "cudaEventSynchronize", "cudaHostAlloc"),
    *("cudaStreamCreateWithPriority", "cudaStreamSynchronize", "cudaPointerGetAttributes"),
    *("kernel", "H2D pinned", "D2H pinned", "D2H pageable", "memset"),
)


@cache
def counted() -> dict[str, int]:
    """How often a case of an open device makes each call."""
    with fresh_process() as machine, TemporaryDirectory() as folder:
        (slot,) = open_slots(1)
        before = machine.counts()
        make(Path(folder), config_of(JOB[0]), slot, JOB[1])
        return {name: n - before.get(name, 0) for name, n in machine.counts().items()}


def moments(count: int, status: str) -> list[int]:
    if NIGHTLY:
        return list(range(count))
    return [count // 3] if status == "cudaErrorIllegalAddress" else [count - 1]


@pytest.mark.parametrize("status", ["cudaErrorInvalidValue", "cudaErrorIllegalAddress"])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_costs_time_and_nothing_else(
    tmp_path: Path, cpucuda: Machine, call: str, status: str
) -> None:
    for after in moments(counted()[call], status):
        with fresh_process():
            (slot,) = open_slots(1)
            cpucuda.fail(call, status, after=after)
            made = make(tmp_path / str(after), config_of(JOB[0]), slot, JOB[1])
            check_equal(made, wanted(JOB))
            (told,) = made[0]["engine"]["fallbacks"]
            in_a_stream = not call.startswith("cu")  # work that fails breaks the device
            assert bool(slot.lost) == (in_a_stream or status == "cudaErrorIllegalAddress")
            assert ("stopped working" if slot.lost else "did not do a step") in told
            cpucuda.complaints()
