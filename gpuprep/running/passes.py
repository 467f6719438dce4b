"""The passes of a run over its cases: one that measures the cohort, if need be, and one that prepares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.executors.base import Outcome
from gpuprep.host.failpoints import failpoint
from gpuprep.ledger.current import Recognition, Stored, holding_of, stored_case
from gpuprep.ledger.fingerprint import (
    FilesOfCohort,
    Fingerprint,
    cohort_key,
    load_fingerprint,
    save_fingerprint,
)
from gpuprep.ledger.index import Listed, ListedCases, list_case
from gpuprep.ledger.output import is_published
from gpuprep.ledger.report import Tally
from gpuprep.planning.statistics import CohortHistograms, cohort_digest
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.crew import Crew
from gpuprep.store.files import append_line, storage_faults
from gpuprep.store.layout import FAILURES_FILE
from gpuprep.store.places import to_place
from gpuprep.store.sources import sum_of_files
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError
from gpuprep.values.events import CaseChanged, CaseDone, CaseFailed, Listener, Notice


@dataclass(frozen=True, slots=True)
class Passes:
    """What every pass of a run needs: the cases, who works on them, and who is told."""

    cases: Sequence[Case]
    crew: Crew
    tally: Tally
    tell: Listener
    listed: ListedCases
    """What the manifest said of each case when the run began."""

    def measure(self, cohort: Sequence[Case], base: CaseTask) -> str:
        """Sum up the foreground histograms of the whole cohort; returns the digest that covers them.

        A case of this run that cannot be measured has failed, and is not prepared with statistics that
        lack it. They are then not kept either, so that the next run measures again.
        """
        root = Path(base.output)
        key = cohort_key(cohort, base.digest)
        present = self._kept(root)
        if present.key == key:
            return cohort_digest(base.digest, present.channels)
        if self._is_of(present, cohort, base):
            with storage_faults(root):
                save_fingerprint(root, replace(present, key=key))
            return cohort_digest(base.digest, present.channels)
        measured = self._measured(cohort, base)
        if self.crew.halted or not measured.channels:
            return base.digest
        if measured.cases == len(cohort):
            measured = replace(measured, key=key)
        else:
            measured = replace(measured, files="")
        with storage_faults(root):
            save_fingerprint(root, measured)
        failpoint("after_statistics", str(root))
        return cohort_digest(base.digest, measured.channels)

    def _measured(self, cohort: Sequence[Case], base: CaseTask) -> Fingerprint:
        """The statistics of the cases that could be measured."""
        sums, files = CohortHistograms(), FilesOfCohort()
        wanted = {case.id for case in self.cases}

        def note(outcome: Outcome) -> None:
            if outcome.histograms is not None:
                sums.add(outcome.task.case.id, outcome.histograms)
                files.add(outcome.task.case.id, outcome.files)
            elif outcome.failed and outcome.failed.case_id in wanted:
                self._note_failure(outcome.failed, Path(base.output))

        self.crew.work((replace(base, case=case, kind="measure") for case in cohort), note)
        if self.crew.halted:
            return Fingerprint()
        return Fingerprint("", str(files), sums.cases, sums.channels)

    def _is_of(self, present: Fingerprint, cohort: Sequence[Case], base: CaseTask) -> bool:
        """Whether statistics are those of these cases, by the bytes of their files: a cohort that was moved.

        Asked of the records of stored cases; what is not stored has to be measured.
        """
        if not present.files or present.cases != len(cohort):
            return False
        digest, files = cohort_digest(base.digest, present.channels), FilesOfCohort()
        for case in cohort:
            found = self._look_up(base, case, digest)
            if found.record is None or self.crew.halted:
                return False
            files.add(case.id, sum_of_files(found.record["source"]))
        return str(files) == present.files

    def _kept(self, root: Path) -> Fingerprint:
        """The statistics of an earlier run; damaged ones are told, and as good as none."""
        try:
            return load_fingerprint(root)
        except CorruptStoreError as error:
            self.tell(Notice(f"{error.message}; the cohort is measured again"))
            return Fingerprint()

    def prepare(self, base: CaseTask, *, overwrite: bool) -> None:
        """Do every case that is not done yet, and keep manifest and failures in step."""
        root = Path(base.output)

        def note(outcome: Outcome) -> None:
            if outcome.done:
                self.tally.add(outcome.done, outcome.stage_seconds)
                failpoint("before_manifest", outcome.done.case_id)
                list_case(root, outcome.done.case_id, Listed(base.digest, held=outcome.held))
                failpoint("after_manifest", outcome.done.case_id)
                self.tell(outcome.done)
            elif outcome.failed:
                self._note_failure(outcome.failed, root)

        self.crew.work(self._to_prepare(base, overwrite=overwrite), note)

    def _to_prepare(self, base: CaseTask, *, overwrite: bool) -> Iterable[CaseTask]:
        """A task for each case that is not done yet; the others are counted."""
        root = Path(base.output)
        cases_at = to_place(base.url or root)
        known = Recognition(cases_at, self.listed.index, base.digest)
        unmeasured = {failure.case_id for failure in self.tally.failures}
        for case in self.cases:
            if case.id in unmeasured:
                continue
            if not overwrite and known.knows(case):
                self.tally.skipped += 1
                self.tell(CaseDone(case.id, skipped=True))
                continue
            found = Stored() if overwrite else self._look_up(base, case, base.digest)
            if found.record is None:
                there = is_published(cases_at, case)
                if there and found.change:
                    self.tally.changed.add(case.id, found.change)
                    self.tell(CaseChanged(case.id, found.cause, found.change))
                yield replace(base, case=case, replace=there)
                continue
            self.tally.skipped += 1
            if found.change:
                self.tally.attributes.add(case.id, found.change)
            before, held = self.listed.get(case.id, Listed()), holding_of(found, case)
            self.tally.recognised += bool(found.stamp and not before.digest)
            if (before.digest, before.held) != (base.digest, held):
                list_case(root, case.id, Listed(base.digest, found.stamp, held))
            self.tell(CaseDone(case.id, skipped=True))

    def _look_up(self, base: CaseTask, case: Case, digest: str) -> Stored:
        """What is stored of a case; files that had to be read to be recognised are read once."""
        seen = self.listed.get(case.id, Listed()).seen
        found = stored_case(to_place(base.url or base.output), case, digest, seen)
        if found.stamp not in ("", seen):
            self.listed.note(case.id, Listed(seen=found.stamp))  # no digest: to be listed anew
        return found

    def _note_failure(self, failure: CaseFailed, root: Path) -> None:
        self.tally.failures.append(failure)
        append_line(root / FAILURES_FILE, failure.to_json())
        self.tell(failure)
