"""Taking the cases that left their input out of a cohort."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpuprep.ledger.hold import hold
from gpuprep.ledger.index import unlist_cases
from gpuprep.ledger.inputs import write_standing
from gpuprep.ledger.output import find_output
from gpuprep.store.files import storage_faults
from gpuprep.store.places import Place, to_place
from gpuprep.store.prune import prune_case
from gpuprep.store.standing import read_standing


@dataclass(frozen=True, slots=True)
class Pruned:
    """What ``prune`` did, or would do."""

    cases: tuple[str, ...]
    places: tuple[str, ...] = ()
    """Where they are now; empty where nothing was done."""

    def to_json(self) -> dict[str, Any]:
        return {"cases": list(self.cases), "places": list(self.places)}


def withdrawn_cases(output: str | Place) -> Pruned:
    """The cases that ``prune`` would move out; nothing is done.

    Raises:
        StoreError: this is no gpuprep output.
    """
    return Pruned(read_standing(find_output(output)).withdrawn)


def prune(output: str | Place) -> Pruned:
    """Move the cases that no input lists any more from ``cases/`` to ``pruned/``.

    Each is moved in one step; what a crash left undone is done by the next call.

    Raises:
        StoreError: this is no gpuprep output, or the disk refuses.
        RunStopped: the disk is full, or the store takes nothing.
        UsageError: a run is working on it.
    """
    root = find_output(output)
    with hold(output) as held:
        standing = read_standing(to_place(held.folder))
        unlist_cases(held.folder, standing.withdrawn)  # first: a listed case that is gone is damage
        held.keep()
        moved = {case: prune_case(root, case) for case in standing.withdrawn}
        with storage_faults(held.folder):
            write_standing(held.folder, replace(standing, withdrawn=()))
        held.seal_list()
    done = {case: str(place) for case, place in moved.items() if place is not None}
    return Pruned(tuple(done), tuple(done.values()))
