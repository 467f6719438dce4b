"""The passes of a run over its cases: one that measures the cohort, if need be, and one that prepares it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gpuprep.executors.base import Outcome
from gpuprep.host.failpoints import failpoint
from gpuprep.ledger.claim import case_digest_of
from gpuprep.ledger.current import Recognition, Stored, holding_of, stored_case
from gpuprep.ledger.fingerprint import Fingerprint, load_fingerprint, save_fingerprint
from gpuprep.ledger.hold import Hold
from gpuprep.ledger.index import Listed, ListedCases, list_case
from gpuprep.ledger.landmarks import save_landmarks
from gpuprep.ledger.output import is_published
from gpuprep.ledger.report import Tally
from gpuprep.ledger.sources import compare
from gpuprep.planning.statistics import cohort_digest
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.crew import Crew
from gpuprep.running.measuring import Measuring
from gpuprep.store.files import append_line, storage_faults
from gpuprep.store.layout import FAILURES_FILE, STATISTICS_FILE, case_path
from gpuprep.store.places import to_place
from gpuprep.store.record import read_record
from gpuprep.store.sources import sum_of_files
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError, StoreError
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
    held: Hold
    config: str
    """The digest of the config alone."""

    def measure(self, cohort: Sequence[Case], base: CaseTask, *, frozen: bool = False) -> str:
        """Sum up the foreground histograms of the whole cohort; returns the digest that covers them.

        A case of this run that cannot be measured has failed, and is not prepared with statistics that
        lack it; the next run measures it again, and nothing else. With ``frozen`` the statistics of an
        earlier run are taken as they are.
        """
        root = Path(base.output)
        present = self._kept(root)
        digest = cohort_digest(base.digest, present.channels)
        if frozen and present.channels and case_digest_of(root) == digest:
            text = f"the statistics are those of {present.cases} cases, as they were stored"
            self.tell(Notice(f"{text} (run.statistics: keep); this input has {len(cohort)}"))
            with storage_faults(root):
                save_landmarks(root, present.channels)
            return digest
        wanted = {case.id for case in self.cases}

        def note_failure(failure: CaseFailed) -> None:
            if failure.case_id in wanted:
                self._note_failure(failure, root)

        measuring = Measuring(
            cohort,
            base,
            self.crew,
            self.tell,
            bring=partial(self.held.bring, STATISTICS_FILE),
            recognises=partial(self._recognises, base),
            note_failure=note_failure,
        )
        try:
            measured = measuring.take(present)
        finally:
            self.held.send(STATISTICS_FILE)
        if measured is None:
            return base.digest
        if (measured.key, measured.refused) != (present.key, present.refused):
            with storage_faults(root):
                save_fingerprint(root, measured)
            failpoint("after_statistics", str(root))
        with storage_faults(root):
            save_landmarks(root, measured.channels)
        return cohort_digest(base.digest, measured.channels)

    def _recognises(self, base: CaseTask, case: Case, files: str) -> bool:
        """Whether a stored case was made from files of that sum, and still has them, wherever they lie."""
        folder = to_place(base.url or base.output) / case_path(case.id)
        try:
            sources = read_record(folder)["source"]
        except (CorruptStoreError, StoreError, OSError, KeyError):
            return False
        if sum_of_files(sources) != files:
            return False
        seen = self.listed.get(case.id, Listed()).seen
        found = compare(sources, case, seen)
        self._remember(case, found.stamp, seen)
        return not found.change

    def _kept(self, root: Path) -> Fingerprint:
        """The statistics of an earlier run; damaged ones are told, and as good as none."""
        try:
            return load_fingerprint(root)
        except CorruptStoreError as error:
            self.tell(Notice(f"{error.message}; they are taken again"))
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

        tasks = self._to_prepare(base, overwrite=overwrite)
        self.crew.work(tasks, note, cases=len(self.cases))

    def _to_prepare(self, base: CaseTask, *, overwrite: bool) -> Iterable[CaseTask | None]:
        """A task for each case that is not done yet, None for the others, which are counted."""
        root = Path(base.output)
        cases_at = to_place(base.url or root)
        known = Recognition(
            cases_at, self.listed.index, base.digest, asked=len(self.cases), there=self.held.there
        )
        unmeasured = {failure.case_id for failure in self.tally.failures}
        for case in self.cases:
            if case.id in unmeasured:
                yield None
                continue
            if not overwrite and known.knows(case):
                self.tally.skipped += 1
                self.tally.by_list = known.by_list
                self.tell(CaseDone(case.id, skipped=True))
                yield None
                continue
            found = Stored() if overwrite else self._look_up(base, case, base.digest)
            if found.record is None:
                there = is_published(cases_at, case)
                if there and found.change:
                    self.tally.changed.add(case.id, found.change)
                    self.tell(CaseChanged(case.id, found.cause, found.change))
                self.held.unseal()
                yield replace(base, case=case, replace=there)
                continue
            self.tally.skipped += 1
            if found.change:
                self.tally.attributes.add(case.id, found.change)
            before, held = self.listed.get(case.id, Listed()), holding_of(found, case)
            self.tally.recognised += bool(found.stamp and not before.digest)
            if (before.digest, before.held) != (base.digest, held):
                self.held.unseal()
                list_case(root, case.id, Listed(base.digest, found.stamp, held))
            self.tell(CaseDone(case.id, skipped=True))
            yield None

    def _look_up(self, base: CaseTask, case: Case, digest: str) -> Stored:
        """What is stored of a case; files that had to be read to be recognised are read once."""
        seen = self.listed.get(case.id, Listed()).seen
        place = to_place(base.url or base.output)
        found = stored_case(place, case, digest, seen, self.config)
        self._remember(case, found.stamp, seen)
        return found

    def _remember(self, case: Case, stamp: str, seen: str) -> None:
        """Keep the stamp under which files were recognised, if they were."""
        if stamp not in ("", seen):
            self.listed.note(case.id, Listed(seen=stamp))  # without a digest: to be listed anew

    def _note_failure(self, failure: CaseFailed, root: Path) -> None:
        self.tally.failures.append(failure)
        append_line(root / FAILURES_FILE, failure.to_json())
        self.tell(failure)
