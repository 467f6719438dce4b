"""``gpuprep nnunet preprocess`` and ``plan-and-preprocess``: nnU-Net's arrays from one read of each case."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gpuprep.cli.nnunet import (
    EXTRACTOR,
    PREPROCESSOR,
    BarOption,
    CleanOption,
    CountWords,
    DatasetOption,
    ExtractorOption,
    MemoryOption,
    NameOption,
    PlannerOption,
    PlanWords,
    PreprocessorOption,
    SpacingOption,
    StatisticsOption,
    VerifyOption,
    app,
    fingerprint_one,
    plan_one,
)
from gpuprep.cli.nnunet_means import (
    BackendOption,
    ConfigurationOption,
    OverwriteOption,
    ProcessesOption,
    SchedulerOption,
    ScratchOption,
    means_of,
    scratches_of,
)
from gpuprep.cli.terminal import (
    JsonOption,
    SetOption,
    command,
    err,
    one_of,
    out,
    print_json,
    session,
)

if TYPE_CHECKING:
    from gpuprep.nnunet.folders import Preprocessed
    from gpuprep.nnunet.preprocess import Means, Prepared

__all__ = ["app"]

_OF_BOTH = ("input", "run", "cluster")  # passes: that which counts, and that which makes arrays


@command(app)
def preprocess(
    datasets: DatasetOption,
    plans: Annotated[
        str, typer.Option("-plans_name", "-p", help="Plans to prepare.")
    ] = "nnUNetPlans",
    configurations: ConfigurationOption = None,
    processes: ProcessesOption = None,
    backend: BackendOption = "auto",
    scheduler: SchedulerOption = None,
    overrides: SetOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    no_progress: BarOption = False,
) -> None:
    """Make the arrays that nnU-Net 2.8 trains on, for all configurations of its plans from one read.

    Reads nnUNet_raw/DATASET and the plans in nnUNet_preprocessed/DATASET, and completes the tree there:
    arrays, gt_segmentations, splits_final.json. Cases that are there and current stay; one that fails is
    told. The run itself lies in DATASET/gpuprep/PLANS, where gpuprep status and failures tell of it.
    """
    means = means_of(processes, backend, scheduler, overrides, overwrite=overwrite)
    wanted = tuple(configurations or ())
    reports = _until_stopped(
        _preprocess_one(folder, plans, wanted, means, as_json=as_json, no_progress=no_progress)
        for folder in _folders(datasets)
    )
    _end(reports, as_json=as_json)


@command(app, "plan-and-preprocess")
def plan_and_preprocess(
    datasets: DatasetOption,
    planner: PlannerOption = "ExperimentPlanner",
    gigabytes: MemoryOption = None,
    spacing: SpacingOption = None,
    name: NameOption = None,
    configurations: ConfigurationOption = None,
    processes: ProcessesOption = None,
    verify: VerifyOption = False,
    clean: CleanOption = False,
    statistics: StatisticsOption = "exact",
    counters: Annotated[
        int | None, typer.Option("-npfp", min=1, help="Processes of the fingerprint.")
    ] = None,
    no_preprocessing: Annotated[
        bool, typer.Option("--no_pp", help="Fingerprint and plans alone.")
    ] = False,
    extractor: ExtractorOption = EXTRACTOR,
    preprocessor: PreprocessorOption = PREPROCESSOR,
    scratch: ScratchOption = None,
    backend: BackendOption = "auto",
    scheduler: SchedulerOption = None,
    overrides: SetOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    no_progress: BarOption = False,
) -> None:
    """Fingerprint, plans and arrays of raw data sets, ready for nnUNetv2_train.

    The three steps of gpuprep nnunet fingerprint, plan and preprocess. A fingerprint that is there stays,
    and so does its plan where cases were added; --clean renews both. Files are read once: what was decoded
    for the fingerprint lies ready for the arrays, within --scratch.
    """
    from gpuprep.nnunet.planners import find_planner
    from gpuprep.nnunet.scratch import passes_joined
    from gpuprep.store.nnunet.b2nd import import_blosc2

    one_of("fpe", extractor, (EXTRACTOR,))
    one_of("preprocessor_name", preprocessor, (PREPROCESSOR,))
    find_planner(planner)  # before hours of counting
    if not no_preprocessing:
        import_blosc2()
    means = means_of(processes, backend, scheduler, overrides, overwrite=overwrite)
    folders = _folders(datasets)
    live = not no_progress
    settings = {key: value for key, value in (means.settings or {}).items() if key in _OF_BOTH}
    counted = CountWords(
        *(statistics, counters, verify, clean),
        quiet=as_json,
        live=live,
        scheduler=scheduler,
        settings=settings,
    )
    asked = PlanWords(planner, gigabytes, spacing, name)
    wanted = tuple(configurations or ())
    kept = scratches_of(folders, "0" if no_preprocessing else scratch)
    with passes_joined(kept):
        counts = zip(folders, kept, strict=True)
        steps = [fingerprint_one(folder, counted, each) for folder, each in counts]
        made = [plan_one(folder, asked) for folder in folders]
        if no_preprocessing:
            if as_json:
                print_json({"fingerprints": [step.to_json() for step in steps], "plans": made})
            raise typer.Exit(int(any(step.problems for step in steps)))
        reports = _until_stopped(
            _preprocess_one(
                folder,
                Path(plan["plans"]).stem,
                wanted,
                replace(means, scratch=each),
                as_json=as_json,
                no_progress=no_progress,
            )
            for folder, plan, each in zip(folders, made, kept, strict=True)
        )
    _end(reports, as_json=as_json, problems=any(step.problems for step in steps))


def _folders(datasets: list[str]) -> list[Preprocessed]:
    """The data sets that are asked for, all of them found before the first is worked on."""
    from gpuprep.nnunet.folders import (
        PREPROCESSED,
        RAW,
        Preprocessed,
        find_dataset,
        folder_of,
    )

    raw, preprocessed = folder_of(RAW), folder_of(PREPROCESSED)
    names = [find_dataset(each, raw) for each in datasets]
    return [Preprocessed(preprocessed / name, raw) for name in names]


def _preprocess_one(
    folder: Preprocessed,
    plans: str,
    wanted: tuple[str, ...],
    means: Means,
    *,
    as_json: bool,
    no_progress: bool,
) -> Prepared:
    """Prepare a data set and say what was done."""
    from gpuprep.cli.progress import ProgressView
    from gpuprep.nnunet.preprocess import CONFIGURATIONS
    from gpuprep.nnunet.preprocess import preprocess as prepare

    console = err if as_json else out
    console.print(f"[bold]{escape(folder.path.name)}[/], {escape(plans)}")
    with ProgressView(console, live=not no_progress, verbose=session.verbose) as view:
        done = prepare(folder, plans, wanted or CONFIGURATIONS, means, [view])
    for name, path in done.folders.items():
        console.print(f"{name}: {done.cases} cases in {escape(str(path))}")
    for problem in done.problems:
        err.print(f"[red]problem[/] {escape(f'{folder.path.name}: {problem}')}")
    if done.report.failures:
        again = f"gpuprep failures {shlex.quote(str(done.cohort))}"
        console.print(f"reasons, and how to retry: {escape(again)}")
    return done


def _until_stopped(made: Iterable[Prepared]) -> list[Prepared]:
    """One data set after the other, up to one whose run was interrupted or stopped."""
    reports = []
    for done in made:
        reports.append(done)
        if done.exit_code not in (0, 1):
            break
    return reports


def _end(done: list[Prepared], *, as_json: bool, problems: bool = False) -> None:
    """The report of all, and the exit code of the worst."""
    if as_json:
        print_json({"datasets": [_told(each) for each in done]})
    raise typer.Exit(max(int(problems), *(each.exit_code for each in done)))


def _told(done: Prepared) -> dict[str, Any]:
    return {
        "cohort": str(done.cohort),
        "cases": done.cases,
        "folders": {name: str(path) for name, path in done.folders.items()},
        **done.report.to_json(),
        "problems": [problem.to_json() for problem in done.problems],
        "exit_code": done.exit_code,
    }
