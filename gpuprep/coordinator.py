"""A whole run: discover, plan, hand out, record, resume, report.

Nothing that matters lives only here: a case counts as done when its folder is there with a record of
the same config and the same source files. The same command after a crash does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gpuprep.backend import Name
from gpuprep.case import Case
from gpuprep.cohort import Found, discover
from gpuprep.config import Config
from gpuprep.config_file import load_config
from gpuprep.crew import Crew
from gpuprep.desk import open_desk
from gpuprep.errors import RunStopped, StoreError, UsageError
from gpuprep.events import CaseDone, CaseFailed, Event, Listener, Notice, RunStarted
from gpuprep.executors.base import Outcome
from gpuprep.failpoints import failpoint
from gpuprep.fingerprint import cohort_digest, merge_channels
from gpuprep.interrupts import Interrupts
from gpuprep.ops.statistics import Histogram
from gpuprep.output import (
    claim,
    cohort_key,
    current_record,
    describe,
    is_published,
    load_fingerprint,
    save_fingerprint,
    save_report,
)
from gpuprep.plan import CasePlan
from gpuprep.reference import with_reference
from gpuprep.run_log import RunLog
from gpuprep.run_state import StateFile
from gpuprep.selection import FailureList, choose_cases
from gpuprep.store.files import append_line, read_lines, storage_faults
from gpuprep.store.layout import FAILURES_FILE, MANIFEST_FILE
from gpuprep.store.objects import is_url, to_place
from gpuprep.tally import RunReport, Tally
from gpuprep.workforce import muster


def run(
    input: Path | str,
    output: Path | str,
    *,
    config: Config | Path | str | None = None,
    backend: Name = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    only: Sequence[str] = (),
    retry_failed: bool = False,
    listeners: Sequence[Listener] = (),
    command: str = "",
) -> RunReport:
    """Preprocess every case of ``input`` into the cohort at ``output``; finished cases are skipped.

    Args:
        input: a folder, a manifest, a ``dataset.json`` or a single file.
        output: the folder of the cohort, made when missing, or a URL such as ``s3://bucket/cohort``.
        config: a Config, a YAML file, or None for the defaults.
        scheduler: ``local`` (Dask worker processes), ``serial`` (this process), or the address or
            scheduler file of a Dask cluster; by default what ``cluster`` in the config says.
        workers: worker processes; by default those of the config, else one per CUDA device or core.
        limit: do only the first so many cases.
        overwrite: make every case anew.
        only: do only the cases of these ids; patterns such as ``liver_*`` take in several.
        retry_failed: do only the cases that failed when they were last tried.
        listeners: are told every event.
        command: what starts this run again, for ``gpuprep status`` to show.

    Raises:
        UsageError: input, output, config or backend cannot be used; nothing was started.
    """
    parsed = with_reference(config if isinstance(config, Config) else load_config(config))
    found = discover(
        Path(input),
        layout=parsed.input.layout,
        follow_symlinks=parsed.input.follow_symlinks,
    )
    cohort = found.cases[:limit]
    if not cohort:
        raise UsageError(f"no case to do in {input}", advice="gpuprep plan shows what was found")
    cases = choose_cases(cohort, output, only=only, retry_failed=retry_failed)
    if not cases:
        raise UsageError("the cases to retry are not in the input any more")
    force = muster(parsed, scheduler=scheduler, workers=workers, backend=backend, cases=len(cases))
    if not is_url(output):
        _check_apart(Path(input), Path(output))
    started = time.monotonic()
    tally = Tally(len(cases))
    with (
        open_desk(output) as desk,
        Interrupts(parsed.run.drain) as interrupts,
        closing(StateFile(desk.folder, command)) as state,
        closing(FailureList(desk.folder, found.cases)) as failures,
    ):
        root = desk.folder
        tell = _teller([state, RunLog(root), failures, *listeners])
        claim(root, parsed, overwrite=overwrite)
        desk.keep()
        desk.sweep()
        failpoint("after_claim", str(root))
        tell(RunStarted(len(cases), force.workers, force.backend.name, force.backend.note))
        if found.unmatched:
            tell(_unmatched_notice(found))
        base = CasePlan(
            cases[0],
            str(root),
            parsed.digest,
            backend=force.backend.name,
            threads=force.threads,
            memory=force.memory,
            shares=force.shares,
            root=found.root,
            url=desk.url,
        )
        crew = Crew(force.starter(root, cases, tell), interrupts, root, parsed.run, tell)
        try:
            if parsed.needs_cohort:
                base = replace(base, digest=_measure_cohort(cohort, cases, base, crew, tally, tell))
                with storage_faults(root):
                    describe(root, parsed, base.digest)
                desk.keep()
            if not crew.halted:
                unmeasured = {failure.case_id for failure in tally.failures}
                rest = [case for case in cases if case.id not in unmeasured]
                _prepare_cohort(rest, base, crew, tally, tell, overwrite=overwrite)
        except (RunStopped, StoreError) as error:  # the run's own files cannot be written
            crew.stopped = str(error) + (f"; {error.advice}" if error.advice else "")
        except KeyboardInterrupt:
            crew.stopped = "interrupted"
        finally:
            with interrupts.held():
                crew.finish()
                desk.sweep()
        report = tally.report(found, crew.stopped, time.monotonic() - started)
        if interrupts.requested and report.finished.remaining:
            report = replace(report, interrupted=True)
        save_report(root, report.to_json())
        tell(report.finished)
    return report


def _prepare_cohort(
    cases: Sequence[Case],
    base: CasePlan,
    crew: Crew,
    tally: Tally,
    tell: Listener,
    *,
    overwrite: bool,
) -> None:
    """Do every case that is not done yet, and keep manifest and failures in step."""
    root = Path(base.output)
    cases_at = to_place(base.url or root)
    listed = {line.get("case") for line in read_lines(root / MANIFEST_FILE)}

    def plans() -> Iterable[CasePlan]:
        for case in cases:
            record = None if overwrite else current_record(cases_at, case, base.digest)
            if record is None:
                yield replace(base, case=case, replace=is_published(cases_at, case))
                continue
            tally.skipped += 1
            if case.id not in listed:
                append_line(root / MANIFEST_FILE, {"case": case.id, "digest": base.digest})
            tell(CaseDone(case.id, skipped=True))

    def note(outcome: Outcome) -> None:
        if outcome.done:
            tally.add(outcome.done, outcome.stage_seconds)
            failpoint("before_manifest", outcome.done.case_id)
            append_line(root / MANIFEST_FILE, {"case": outcome.done.case_id, "digest": base.digest})
            failpoint("after_manifest", outcome.done.case_id)
            tell(outcome.done)
        elif outcome.failed:
            _note_failure(outcome.failed, root, tally, tell)

    crew.work(plans(), note)


def _measure_cohort(
    cohort: Sequence[Case],
    cases: Sequence[Case],
    base: CasePlan,
    crew: Crew,
    tally: Tally,
    tell: Listener,
) -> str:
    """Merge the foreground histograms of the whole cohort; returns the digest that covers them.

    A case of this run that cannot be measured has failed, and is not prepared with statistics that lack
    it. They are then not kept either, so that the next run measures again.
    """
    root = Path(base.output)
    wanted = {case.id for case in cases}
    key = cohort_key(cohort, base.digest)
    known, channels = load_fingerprint(root)
    if known != key:
        partials: dict[str, tuple[Histogram, ...]] = {}

        def note(outcome: Outcome) -> None:
            if outcome.histograms is not None:
                partials[outcome.plan.case.id] = outcome.histograms
            elif outcome.failed and outcome.failed.case_id in wanted:
                _note_failure(outcome.failed, root, tally, tell)

        crew.work((replace(base, case=case, task="measure") for case in cohort), note)
        if crew.halted or not partials:
            return base.digest
        channels = merge_channels(partials)
        with storage_faults(root):
            save_fingerprint(root, key if len(partials) == len(cohort) else "", channels)
        failpoint("after_statistics", str(root))
    return cohort_digest(base.digest, channels)


def _note_failure(failure: CaseFailed, root: Path, tally: Tally, tell: Listener) -> None:
    tally.failures.append(failure)
    append_line(root / FAILURES_FILE, failure.to_json())
    tell(failure)


def _check_apart(source: Path, output: Path) -> None:
    """An output inside its input would be found as input by the next run, and the other way round."""
    source, output = source.resolve(), output.resolve()
    if output == source or source in output.parents or output in source.parents:
        raise UsageError(
            f"output {output} and input {source} lie inside one another",
            advice="choose an output folder beside the input",
        )


def _unmatched_notice(found: Found) -> Notice:
    number = len(found.unmatched)
    return Notice(
        f"{number} file{'s belong' if number > 1 else ' belongs'} to no case",
        tuple(f"{entry.path}: {entry.reason}" for entry in found.unmatched),
    )


def _teller(listeners: Sequence[Listener]) -> Listener:
    listening = list(listeners)

    def tell(event: Event) -> None:
        for listener in list(listening):
            try:
                listener(event)
            except OSError:  # its terminal or its disk has gone; the run has not
                listening.remove(listener)

    return tell
