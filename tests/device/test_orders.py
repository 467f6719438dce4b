"""Whole cases over the CUDA stand-in: in whatever order streams run, they are what NumPy makes."""

import pytest
from device.cpucuda.machine import Machine
from support.device_cases import JOBS, SEEDS, check_all, made_by, open_slots

pytestmark = pytest.mark.cpucuda


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_slots_make_what_numpy_makes(tmp_path, cpucuda: Machine, slots, seed):
    cpucuda.set(seed=100 * slots + seed, eager=seed % 4)
    check_all(made_by(open_slots(slots), tmp_path, seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_slots_of_two_devices_make_what_numpy_makes(tmp_path, cpucuda: Machine, seed):
    cpucuda.set(seed=seed, eager=seed % 4)
    check_all(made_by(open_slots(4, devices=2), tmp_path, seed))
    assert cpucuda.device_bytes(0)
    assert cpucuda.device_bytes(1)


def test_no_kernel_of_cupys_own_is_launched(tmp_path, cpucuda: Machine):
    """They want the toolkit's headers, and are compiled in the middle of a case."""
    check_all(made_by(open_slots(1), tmp_path, turns=len(JOBS)))
    ran = {name.removeprefix("ran ") for name in cpucuda.counts() if name.startswith("ran ")}
    assert len(ran) > 10
    assert not {name for name in ran if name.startswith("cupy_")}
