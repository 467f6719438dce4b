"""Seeded faults of ordering and memory: over the CUDA stand-in, each is seen in some order of streams."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.cpucuda.machine import Machine
from support.decoding import assert_same
from support.device_cases import check_all, made_by, open_slots
from support.late_training import read_late
from support.nvcomp_stand_in import nvcomp_stand_in, reader_on
from support.stored import store_cohort

from gpuprep.device import link
from gpuprep.device.cuda import CudaDriver
from gpuprep.device.lent import Lent
from gpuprep.device.link import Link
from gpuprep.kernels.loader import cuda_engine
from gpuprep.kernels.tables import Tables
from gpuprep.training import PatchDataset
from gpuprep.training.device import DeviceBatches

pytestmark = [
    pytest.mark.cpucuda,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Patch = pytest.MonkeyPatch
ORDERS = 8


class Done:
    """A mark that nobody has to wait for."""

    def synchronize(self) -> None: ...


def piece_is_filled_while_it_is_copied(patch: Patch) -> None:
    own = Link._send

    def send(self: Link, *arguments: Any) -> None:
        self._marks = [None, None]
        own(self, *arguments)

    patch.setattr(Link, "_send", send)


def nothing_is_waited_for(patch: Patch) -> None:
    patch.setattr(Link, "wait", lambda self: None)


def marks_are_set_on_another_stream(patch: Patch) -> None:
    own = CudaDriver.mark
    patch.setattr(CudaDriver, "mark", lambda self, stream=None: own(self, stream or 0))


def results_lie_on_one_another(patch: Patch) -> None:
    own = link._Landing.take

    def take(self: Any, shape: Any, dtype: Any) -> Any:
        self._used = 0
        return own(self, shape, dtype)

    patch.setattr(link._Landing, "take", take)


def landing_is_cleared_by_another_slot(patch: Patch) -> None:
    """One landing for all slots of the process."""
    shared: list[Any] = []
    own = link._Landing.__init__

    def begin(self: Any, staging: Any) -> None:
        own(self, staging)
        shared.append(self)
        self._memory = shared[0]._memory

    patch.setattr(link._Landing, "__init__", begin)


def tables_are_shared_between_streams(patch: Patch) -> None:
    own = Tables.__init__

    def begin(self: Tables, xp: Any, queue: Any, limit_bytes: int = 16 << 20) -> None:
        own(self, xp, lambda: None, limit_bytes)

    patch.setattr(Tables, "__init__", begin)


def training_is_not_followed(patch: Patch) -> None:
    patch.setattr(CudaDriver, "follow", lambda self, mark: None)


def memory_is_free_a_turn_too_early(patch: Patch) -> None:
    own = Lent.turn

    def turn(self: Lent, mark: Any) -> Any:
        own(self, mark)
        self._dropped = []
        return None

    patch.setattr(Lent, "turn", turn)


def staged_chunks_are_overwritten(patch: Patch) -> None:
    own = DeviceBatches._staging

    def staging(self: DeviceBatches, size: int) -> Any:
        self._copied = None
        return own(self, size)

    patch.setattr(DeviceBatches, "_staging", staging)


CASES: list[Callable[[Patch], None]] = [
    piece_is_filled_while_it_is_copied,
    nothing_is_waited_for,
    marks_are_set_on_another_stream,
    results_lie_on_one_another,
    landing_is_cleared_by_another_slot,
]
BATCHES: list[Callable[[Patch], None]] = [
    training_is_not_followed,
    memory_is_free_a_turn_too_early,
    staged_chunks_are_overwritten,
    marks_are_set_on_another_stream,
]


def seen_in_some_order(machine: Machine, work: Callable[[int], None]) -> str:
    """What was noticed in the first of some orders; empty when nothing ever is."""
    from device.cpucuda.fresh import fresh_process

    for seed in range(ORDERS):
        with fresh_process():
            machine.set(seed=seed, eager=seed % 4)
            try:
                work(seed)
            except (AttributeError, ImportError, NameError, TypeError):
                raise  # a mistake of this file
            except Exception as error:
                machine.complaints()
                return repr(error)
            if complaints := machine.complaints():
                return complaints[0]
    return ""


@pytest.mark.parametrize("fault", CASES, ids=lambda fault: fault.__name__)
def test_a_fault_of_a_slot_is_seen(
    fault: Any, tmp_path: Path, cpucuda: Machine, monkeypatch: Patch
) -> None:
    fault(monkeypatch)
    seen = seen_in_some_order(
        cpucuda, lambda seed: check_all(made_by(open_slots(3), tmp_path / str(seed), seed))
    )
    assert seen


def tables_on_two_streams(seed: int) -> None:
    import cupy

    tables, wanted = cuda_engine().tables, np.arange(1000)
    first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    with first:
        tables.get("key", lambda: [wanted])
    with second:
        found = reader_on(second)(*tables.get("key", lambda: [wanted]))
    second.synchronize()
    assert (found == wanted).all()


@pytest.mark.parametrize("fault", [None, tables_are_shared_between_streams])
def test_tables_of_two_streams(fault: Any, cpucuda: Machine, monkeypatch: Patch) -> None:
    if fault:
        fault(monkeypatch)
    assert bool(seen_in_some_order(cpucuda, tables_on_two_streams)) == bool(fault)


@pytest.mark.parametrize("fault", BATCHES, ids=lambda fault: fault.__name__)
def test_a_fault_of_the_batches_is_seen(
    fault: Any, tmp_path: Path, cpucuda: Machine, monkeypatch: Patch
) -> None:
    monkeypatch.setitem(sys.modules, "nvidia.nvcomp", nvcomp_stand_in())
    root = store_cohort(tmp_path, codec="gpu")
    dataset = PatchDataset(root, patch=(12, 16, 24), samples=14, image_padding=-7)
    fault(monkeypatch)
    seen = seen_in_some_order(cpucuda, lambda seed: assert_same(read_late(dataset, 2), dataset, 2))
    assert seen
