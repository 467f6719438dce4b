"""The pass that takes the statistics of a cohort before any of its cases is prepared.

What is known of a case is kept: only cases that are new, that changed, or that could not be measured before
are measured now, and the sum is the same to the bit as if all had been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from gpuprep.executors.base import Outcome
from gpuprep.ledger.fingerprint import Fingerprint, cohort_key, is_of_older_version, older_key
from gpuprep.ledger.statistics import (
    LARGE_BYTES,
    CaseStatistics,
    KeptStatistics,
    file_stamp,
    keep_case,
    statistics_key,
)
from gpuprep.planning.statistics import CohortHistograms
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.crew import Crew
from gpuprep.store.layout import STATISTICS_FILE
from gpuprep.values.case import Case
from gpuprep.values.events import CaseFailed, CaseMeasured, CohortPass, Listener, Notice


class Measuring:
    """Takes the statistics of ``cohort``, once."""

    def __init__(
        self,
        cohort: Sequence[Case],
        base: CaseTask,
        crew: Crew,
        tell: Listener,
        *,
        bring: Callable[[], None],
        recognises: Callable[[Case, str], bool],
        note_failure: Callable[[CaseFailed], None],
    ) -> None:
        """What the pass works with.

        Args:
            bring: Called before what is kept of cases is read or added to.
            recognises: Whether the files of a case are those of such a sum, wherever they lie now.
            note_failure: Told every case that cannot be measured.
        """
        self._cohort = cohort
        self._base = base
        self._root = Path(base.output)
        self._crew = crew
        self._tell = tell
        self._bring = bring
        self._recognises = recognises
        self._note_failure = note_failure
        self._made = statistics_key(base.digest, base.agreement.channels)
        self._stamps: dict[str, str] = {}
        self._sums = CohortHistograms()
        self._too_long = 0

    def take(self, present: Fingerprint) -> Fingerprint | None:
        """The statistics of every case that can be measured, from those ``present`` as far as these go.

        None where the run was stopped meanwhile, or no case could be measured.

        Raises:
            UsageError: cases differ in their number of channels.
            StoreError: what is kept cannot be read or added to.
        """
        for case in self._cohort:
            if self._crew.halted:
                return None
            self._stamps[case.id] = file_stamp(case)
        if self._is_unchanged(present):
            self._sums.take(present.cases, present.channels)
            lacking = {case.id for case in self._cohort} & set(present.refused)
            if lacking:
                self._bring()
        else:
            self._bring()
            lacking = self._add_kept()
        if lacking and not self._crew.halted:
            self._measure(lacking)
        if self._crew.halted or not self._sums.channels:
            return None
        if self._too_long:
            text = f"the statistics of {self._too_long} cases are too long to be kept"
            most = f"over {LARGE_BYTES >> 10} KiB each, and {STATISTICS_FILE} is full"
            self._tell(Notice(f"{text} ({most}); they are measured again when the cohort changes"))
        refused = tuple(sorted(lacking))
        return Fingerprint(self._key(refused), self._sums.cases, self._sums.channels, refused)

    def _key(self, refused: Sequence[str]) -> str:
        without = set(refused)
        stamps = (self._stamps[case.id] for case in self._cohort if case.id not in without)
        return cohort_key(stamps, self._base.digest)

    def _is_unchanged(self, present: Fingerprint) -> bool:
        """Whether statistics are those of these cases, but for the ones that were refused."""
        if is_of_older_version(present.key):
            return present.key == older_key(self._cohort, self._base.digest)
        return bool(present.channels) and present.key == self._key(present.refused)

    def _add_kept(self) -> set[str]:
        """Add up what is kept of cases; those of which nothing is."""
        lacking = set(self._stamps)
        kept = KeptStatistics(self._root, self._made)
        for found in kept.matching(self._stamps):
            if self._crew.halted:
                return lacking
            self._sums.add(found.case_id, found.channels)
            lacking.discard(found.case_id)
        if kept.damaged:
            text = f"{kept.damaged} lines of {STATISTICS_FILE} are damaged"
            self._tell(Notice(f"{text}; what they were about is measured again"))
        for case in self._cohort:
            if self._crew.halted:
                return lacking
            older = kept.older(case.id) if case.id in lacking else None
            if older and self._recognises(case, older.files):
                self._add(replace(older, stamp=self._stamps[case.id]))
                lacking.discard(case.id)
        kept.shorten()
        return lacking

    def _add(self, found: CaseStatistics) -> None:
        self._sums.add(found.case_id, found.channels)
        self._too_long += not keep_case(self._root, found)

    def _measure(self, lacking: set[str]) -> None:
        """Have cases measured, and keep each as it comes; ``lacking`` loses those that could be."""
        wanted = [case for case in self._cohort if case.id in lacking]
        self._tell(CohortPass(len(self._cohort), len(self._cohort) - len(wanted)))

        def note(outcome: Outcome) -> None:
            case_id = outcome.task.case.id
            if outcome.histograms is not None:
                stamp, channels = self._stamps[case_id], outcome.histograms
                self._add(CaseStatistics(case_id, self._made, stamp, outcome.files, channels))
                lacking.discard(case_id)
            elif outcome.failed:
                self._note_failure(outcome.failed)
            if not outcome.stop:
                self._tell(CaseMeasured(case_id))

        tasks = (replace(self._base, case=case, kind="measure") for case in wanted)
        self._crew.work(tasks, note, cases=len(wanted))
