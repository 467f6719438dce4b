"""A whole run: find the cases, hand out tasks, record, resume, report.

Nothing that matters lives only here: a case counts as done when its folder is there with a record of
the same config and the same source files. The same command after a crash does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from gpuprep.cohort.discover import Found, choose, discover
from gpuprep.cohort.layouts.naming import check_read_as_utf8
from gpuprep.config.file import load_config
from gpuprep.config.model import Config
from gpuprep.host.backend import Name
from gpuprep.host.failpoints import failpoint
from gpuprep.host.signals import Interrupts
from gpuprep.ledger.claim import claim, describe
from gpuprep.ledger.failures import failed_cases
from gpuprep.ledger.hold import Hold, hold
from gpuprep.ledger.index import ListedCases, write_index
from gpuprep.ledger.inputs import input_name
from gpuprep.ledger.log import RunLog
from gpuprep.ledger.output import save_report
from gpuprep.ledger.report import RunReport, Tally
from gpuprep.ledger.state import StateFile
from gpuprep.planning.agreement import named
from gpuprep.preprocess.decoded_cases import clear_scratch
from gpuprep.preprocess.reference import with_reference
from gpuprep.preprocess.task import CaseTask
from gpuprep.preprocess.writing import check_packages
from gpuprep.running.agreement import agree_on
from gpuprep.running.crew import Crew
from gpuprep.running.leavers import enroll_input, failure_list, notices, with_standing
from gpuprep.running.passes import Passes
from gpuprep.running.reporting import write_reports
from gpuprep.running.workforce import muster
from gpuprep.store.files import storage_faults
from gpuprep.store.layout import HEADERS_FILE
from gpuprep.store.places import is_url, to_place
from gpuprep.values.case import Case
from gpuprep.values.errors import RunStopped, StoreError, UsageError
from gpuprep.values.events import Event, Listener, Notice, RunStarted


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

    >>> report = run("scans", "out", scheduler="serial")
    >>> report.exit_code, report.finished.done
    (0, 2)
    >>> run("scans", "out", scheduler="serial").finished.skipped  # the same again does what is missing
    2

    Args:
        input: a folder, a manifest, a ``dataset.json`` or a single file.
        output: the folder of the cohort, made when missing, or a URL such as ``s3://bucket/cohort``.
        config: a Config, a YAML file, or None for the defaults.
        scheduler: ``local`` (Dask worker processes), ``serial`` (this process), or the address or
            scheduler file of a Dask cluster; by default what ``cluster`` in the config says.
        workers: worker processes; by default those of the config, else one per CUDA device or core.
        limit: do only the first so many cases, of those that ``only`` and ``retry_failed`` leave.
        overwrite: make every case anew.
        only: do only the cases of these ids; patterns such as ``liver_*`` take in several.
        retry_failed: do only the cases that failed when they were last tried, of those in ``only``.
        listeners: are told every event.
        command: what starts this run again, for ``gpuprep status`` to show.

    Raises:
        UsageError: input, output, config or backend cannot be used; nothing was started.
    """
    check_read_as_utf8(str(output))
    parsed = with_reference(config if isinstance(config, Config) else load_config(config))
    check_packages(parsed)
    if not is_url(output):
        _check_apart(Path(input), Path(output))
    found = discover(
        Path(input),
        layout=parsed.input.layout,
        follow_symlinks=parsed.input.follow_symlinks,
        series=parsed.input.series,
        several_volumes=parsed.input.several_volumes,
        structures=parsed.input.structure_rules,
        headers=None if is_url(output) else Path(output) / HEADERS_FILE,
    )
    if not found.cases:
        raise UsageError(f"no case to do in {input}", advice="gpuprep plan shows what was found")
    found = replace(found, cases=named(found.cases, parsed))
    failed = failed_cases(output) if retry_failed else None
    cases = choose(found.cases, only=only, failed=failed, limit=limit)
    cohort = found.cases if only or retry_failed else cases
    force = muster(parsed, scheduler=scheduler, workers=workers, backend=backend, cases=len(cases))
    started = time.monotonic()
    tally = Tally(len(cases))
    with (
        hold(output, asked=_asked(len(cases), parsed, overwrite=overwrite)) as held,
        Interrupts(parsed.run.drain) as interrupts,
        closing(StateFile(held.folder, command)) as state,
        closing(failure_list(held, Path(input), found)) as failures,
    ):
        root = held.folder
        tell = _teller([state, RunLog(root), failures, *listeners])
        cases_at = to_place(held.url or root)
        mended = claim(root, parsed, overwrite=overwrite, cases_at=cases_at)
        held.sweep()
        failpoint("after_claim", str(root))
        agreement, agreed = agree_on(found, cases, held, parsed, overwrite=overwrite)
        tell(RunStarted(len(cases), force.workers, force.backend.name, force.backend.note))
        held.keep_unless_sealed()
        for note in filter(None, (mended, agreed, force.note)):
            tell(Notice(note))
        if found.unmatched:
            tell(_unmatched_notice(found))
        base = replace(
            force.task(cases[0], root, parsed.digest, sources=found.root, url=held.url),
            agreement=agreement,
            input=input_name(Path(input)),
        )
        listed = ListedCases(held.index())
        withdrawn = enroll_input(held, Path(input), found, listed)
        held.keep_unless_sealed()
        crew = Crew(
            force.starter(root, cases, tell, url=held.url), interrupts, root, parsed.run, tell
        )
        passes = Passes(cases, crew, tally, tell, listed, held, parsed.digest)
        try:
            digest = _carry_out(passes, cohort, parsed, base, held, overwrite=overwrite)
        finally:
            with interrupts.held():
                crew.finish()
                held.sweep()
                write_index(root, is_copy=held.remote is not None)
        report = tally.report(found, crew.stopped, time.monotonic() - started)
        if interrupts.requested and report.finished.remaining:
            report = replace(report, interrupted=True)
        report = with_standing(report, held, withdrawn, digest)
        for notice in notices(report, str(output)):
            tell(notice)
        save_report(root, report.to_json())
        tell(report.finished)
        if not (crew.stopped or report.interrupted):
            held.seal_list()
            clear_scratch(parsed.run.scratch)
    if not (crew.stopped or report.interrupted):
        tell = _teller(listeners)  # the run's own files are closed
        for notice in write_reports(to_place(held.url or root), parsed.report):
            tell(notice)
    return report


def _carry_out(
    passes: Passes,
    cohort: Sequence[Case],
    config: Config,
    base: CaseTask,
    held: Hold,
    *,
    overwrite: bool,
) -> str:
    """Measure and prepare; where the run cannot go on, its crew is told why.

    Returns:
        The digest of the cases; empty where the run did not come to prepare any.
    """
    crew, digest = passes.crew, ""
    try:
        if config.needs_cohort:
            frozen = config.run.statistics == "keep"
            digest_now = passes.measure(cohort, base, frozen=frozen)
            base = replace(base, digest=digest_now)
            with storage_faults(held.folder):
                describe(held.folder, config, base.digest)
            held.keep_unless_sealed()
        if not crew.halted:
            digest = base.digest
            passes.prepare(base, overwrite=overwrite)
    except (RunStopped, StoreError) as error:  # the run's own files cannot be written
        crew.stopped = str(error) + (f"; {error.advice}" if error.advice else "")
    except KeyboardInterrupt:
        crew.stopped = "interrupted"
    return digest


def _asked(cases: int, config: Config, *, overwrite: bool) -> int:
    """How many cases may be skipped by the word of a sealed list."""
    return 0 if overwrite or config.run.sealed_list == "check" else cases


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
            except (OSError, StoreError, RunStopped):  # its terminal or its disk has gone
                listening.remove(listener)

    return tell
