"""The agreement of a run's cohort: settled with what its output holds, and kept there."""

from __future__ import annotations

from collections.abc import Sequence

from gpuprep.cohort.discover import Found
from gpuprep.config.model import Config
from gpuprep.ledger.hold import Hold
from gpuprep.ledger.output import save_agreement
from gpuprep.planning.agreement import settle
from gpuprep.store.agreement import read_agreement
from gpuprep.store.files import storage_faults
from gpuprep.store.places import case_ids, to_place
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case


def agree_on(
    found: Found, cases: Sequence[Case], held: Hold, config: Config, *, overwrite: bool
) -> Agreement:
    """What the cases have in common with those that are there; kept in the output.

    Where all that is there is to be made anew, nothing of it counts.

    Raises:
        UsageError: the classes of two label maps cannot agree.
    """
    present = read_agreement(to_place(held.folder))
    if overwrite and present is not None:
        stay = case_ids(to_place(held.url or held.folder), finished=True)
        present = present if stay - {case.id for case in cases} else None
    agreement = settle(found, present, config)
    if agreement != present:
        with storage_faults(held.folder):
            save_agreement(held.folder, agreement)
        held.keep()
    return agreement
