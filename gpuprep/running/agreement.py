"""The agreement of a run's cohort: settled with what its output holds, and kept there."""

from __future__ import annotations

from collections.abc import Sequence

from gpuprep.cohort.discover import Found
from gpuprep.config.model import Config
from gpuprep.ledger.hold import Hold
from gpuprep.ledger.output import save_agreement
from gpuprep.planning.agreement import settle
from gpuprep.store.agreement import agreement_of, read_agreement
from gpuprep.store.files import storage_faults
from gpuprep.store.places import Place, case_ids, to_place
from gpuprep.store.reader import Cohort
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError


def agree_on(
    found: Found, cases: Sequence[Case], held: Hold, config: Config, *, overwrite: bool
) -> tuple[Agreement, str]:
    """What the cases have in common with those that are there; kept in the output.

    Where no case is there, or all that are there are to be made anew, nothing of what was kept counts.

    Returns:
        The agreement, and what was mended of the one that was kept, in words.

    Raises:
        UsageError: the classes of two label maps cannot agree.
        StoreError: what was kept is damaged, and the stored cases disagree.
    """
    cases_at, note = to_place(held.url or held.folder), ""
    stays = held.holds_cases()
    if stays and overwrite:
        stays = bool(case_ids(cases_at, finished=True) - {case.id for case in cases})
    try:
        present = read_agreement(to_place(held.folder))
    except CorruptStoreError as error:
        present = _shown(cases_at) if stays else None
        note = f"{error.message}; it is written anew from the cases, this input and the config"
    agreement = settle(found, present if stays else None, config)
    if agreement != present or note:
        with storage_faults(held.folder):
            save_agreement(held.folder, agreement)
        held.keep()
    return agreement, note


def _shown(cases_at: Place) -> Agreement | None:
    """What the stored cases show that can be read; None where there is none."""
    cohort = Cohort(cases_at)
    told = []
    for case_id in cohort.ids:
        try:
            case = cohort[case_id]
        except CorruptStoreError:  # it is made anew
            continue
        told.append((case.id, case.channel_names, case.label_names))
    return agreement_of(told) if told else None
