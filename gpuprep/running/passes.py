"""The passes of a run over its cases: one that measures the cohort, if need be, and one that prepares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.executors.base import Outcome
from gpuprep.host.failpoints import failpoint
from gpuprep.ledger.output import (
    cohort_key,
    current_record,
    is_published,
    load_fingerprint,
    save_fingerprint,
)
from gpuprep.ledger.report import Tally
from gpuprep.planning.statistics import CohortHistograms, cohort_digest
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.crew import Crew
from gpuprep.store.files import append_line, storage_faults
from gpuprep.store.layout import FAILURES_FILE, MANIFEST_FILE
from gpuprep.store.places import read_lines, to_place
from gpuprep.values.case import Case
from gpuprep.values.events import CaseDone, CaseFailed, Listener


@dataclass(frozen=True, slots=True)
class Passes:
    """What every pass of a run needs: the cases, who works on them, and who is told."""

    cases: Sequence[Case]
    crew: Crew
    tally: Tally
    tell: Listener

    def measure(self, cohort: Sequence[Case], base: CaseTask) -> str:
        """Sum up the foreground histograms of the whole cohort; returns the digest that covers them.

        A case of this run that cannot be measured has failed, and is not prepared with statistics that
        lack it. They are then not kept either, so that the next run measures again.
        """
        root = Path(base.output)
        wanted = {case.id for case in self.cases}
        key = cohort_key(cohort, base.digest)
        known, channels = load_fingerprint(root)
        if known != key:
            sums = CohortHistograms()

            def note(outcome: Outcome) -> None:
                if outcome.histograms is not None:
                    sums.add(outcome.task.case.id, outcome.histograms)
                elif outcome.failed and outcome.failed.case_id in wanted:
                    self._note_failure(outcome.failed, root)

            self.crew.work((replace(base, case=case, kind="measure") for case in cohort), note)
            if self.crew.halted or not sums.cases:
                return base.digest
            channels = sums.channels
            with storage_faults(root):
                save_fingerprint(root, key if sums.cases == len(cohort) else "", channels)
            failpoint("after_statistics", str(root))
        return cohort_digest(base.digest, channels)

    def prepare(self, base: CaseTask, *, overwrite: bool) -> None:
        """Do every case that is not done yet, and keep manifest and failures in step."""
        root = Path(base.output)

        def note(outcome: Outcome) -> None:
            if outcome.done:
                self.tally.add(outcome.done, outcome.stage_seconds)
                failpoint("before_manifest", outcome.done.case_id)
                _list_case(root, outcome.done.case_id, base.digest)
                failpoint("after_manifest", outcome.done.case_id)
                self.tell(outcome.done)
            elif outcome.failed:
                self._note_failure(outcome.failed, root)

        self.crew.work(self._to_prepare(base, overwrite=overwrite), note)

    def _to_prepare(self, base: CaseTask, *, overwrite: bool) -> Iterable[CaseTask]:
        """A task for each case that is not done yet; the others are counted."""
        root = Path(base.output)
        cases_at = to_place(base.url or root)
        listed = {line.get("case") for line in read_lines(root / MANIFEST_FILE)}
        unmeasured = {failure.case_id for failure in self.tally.failures}
        for case in self.cases:
            if case.id in unmeasured:
                continue
            record = None if overwrite else current_record(cases_at, case, base.digest)
            if record is None:
                yield replace(base, case=case, replace=is_published(cases_at, case))
                continue
            self.tally.skipped += 1
            if case.id not in listed:
                _list_case(root, case.id, base.digest)
            self.tell(CaseDone(case.id, skipped=True))

    def _note_failure(self, failure: CaseFailed, root: Path) -> None:
        self.tally.failures.append(failure)
        append_line(root / FAILURES_FILE, failure.to_json())
        self.tell(failure)


def _list_case(root: Path, case_id: str, digest: str) -> None:
    append_line(root / MANIFEST_FILE, {"case": case_id, "digest": digest})
