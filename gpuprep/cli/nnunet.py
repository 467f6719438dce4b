"""``gpuprep nnunet``: nnU-Net's own steps, with nnU-Net's flags and folders."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from gpuprep.cli import nnunet_predictions, nnunet_splits
from gpuprep.cli.nnunet_words import NnunetGroup
from gpuprep.cli.terminal import JsonOption, command, err, one_of, out, print_json, session

if TYPE_CHECKING:
    from gpuprep.config.scratch import DecodedScratch
    from gpuprep.nnunet.fingerprint import FingerprintStep
    from gpuprep.nnunet.folders import Preprocessed

app = typer.Typer(
    cls=NnunetGroup, help="nnU-Net's own steps, without nnU-Net.", no_args_is_help=True
)
app.add_typer(nnunet_predictions.app)
app.add_typer(nnunet_splits.app)

DatasetOption = Annotated[
    list[str],
    typer.Option("-d", metavar="ID", help="Number or name of a data set; may be repeated."),
]
VerifyOption = Annotated[
    bool, typer.Option("--verify_dataset_integrity", help="Check the data set in the same read.")
]
CleanOption = Annotated[
    bool, typer.Option("--clean", help="Make a fingerprint that is there anew.")
]
StatisticsOption = Annotated[
    str, typer.Option("--statistics", help="exact, or nnunet: of the voxels that it draws.")
]
PlannerOption = Annotated[str, typer.Option("-pl", help="Planner, by nnU-Net's name of its class.")]
MemoryOption = Annotated[
    float | None, typer.Option("-gpu_memory_target", min=1, help="GB of the GPU to plan for.")
]
SpacingOption = Annotated[
    tuple[float, float, float] | None,
    typer.Option("-overwrite_target_spacing", help="mm, z y x, in place of the rule's."),
]
NameOption = Annotated[
    str | None, typer.Option("-overwrite_plans_name", help="In place of the planner's.")
]
BarOption = Annotated[
    bool, typer.Option("--no_pbar", "--no-progress", help="Plain lines, no live bar.")
]
ExtractorOption = Annotated[
    str, typer.Option("-fpe", help="nnU-Net's own class; there is no other.", hidden=True)
]
PreprocessorOption = Annotated[
    str, typer.Option("-preprocessor_name", help="As -fpe.", hidden=True)
]
EXTRACTOR, PREPROCESSOR = "DatasetFingerprintExtractor", "DefaultPreprocessor"


@dataclass(frozen=True)
class PlanWords:
    """What the flags of planning ask for."""

    planner: str
    gigabytes: float | None
    spacing: tuple[float, float, float] | None
    name: str | None
    explains: bool = False


@dataclass(frozen=True)
class CountWords:
    """What the flags of counting ask for."""

    statistics: str
    workers: int | None
    verify: bool
    clean: bool
    quiet: bool
    """Nothing but what is wrong is said."""
    live: bool = True
    """A bar is shown on a terminal."""
    scheduler: str | None = None
    settings: Mapping[str, Any] | None = None
    """More of the config."""


@command(app)
def fingerprint(
    datasets: DatasetOption,
    workers: Annotated[
        int | None, typer.Option("-np", min=1, help="Processes; by default one per core.")
    ] = None,
    verify: VerifyOption = False,
    clean: CleanOption = False,
    statistics: StatisticsOption = "exact",
    extractor: ExtractorOption = EXTRACTOR,
    as_json: JsonOption = False,
    no_progress: BarOption = False,
) -> None:
    """Count data sets for a plan: nnU-Net's dataset_fingerprint.json, without nnU-Net.

    Reads every case of nnUNet_raw/DATASET once, in an ordinary run that goes on where it was stopped. A
    fingerprint that is there stays unless --clean is given; what has moved since is shown. A case that cannot
    be counted is told, and the others go into the fingerprint; the exit code is 1 then.
    """
    from gpuprep.nnunet.folders import PREPROCESSED, RAW, Preprocessed, find_dataset, folder_of

    one_of("fpe", extractor, (EXTRACTOR,))
    raw, preprocessed = folder_of(RAW), folder_of(PREPROCESSED)
    words = CountWords(statistics, workers, verify, clean, quiet=as_json, live=not no_progress)
    names = [find_dataset(each, raw) for each in datasets]
    made = [fingerprint_one(Preprocessed(preprocessed / name, raw), words) for name in names]
    if as_json:
        print_json({"fingerprints": [step.to_json() for step in made]})
    raise typer.Exit(int(any(step.problems for step in made)))


def fingerprint_one(
    folder: Preprocessed, words: CountWords, scratch: DecodedScratch | None = None
) -> FingerprintStep:
    """Count a data set and say what came of it."""
    from gpuprep.cli.nnunet_drift import show_fingerprint
    from gpuprep.cli.progress import ProgressView
    from gpuprep.nnunet.fingerprint import fingerprint_dataset

    with ProgressView(err, live=words.live, verbose=session.verbose) as view:
        step = fingerprint_dataset(
            folder,
            statistics=one_of("statistics", words.statistics, ("exact", "nnunet")),
            clean=words.clean,
            verify=words.verify,
            workers=words.workers,
            scheduler=words.scheduler,
            settings=words.settings,
            listeners=[view],
            command=shlex.join(["gpuprep", *sys.argv[1:]]),
            scratch=scratch,
        )
    show_fingerprint(step, quiet=words.quiet)
    return step


@command(app)
def plan(
    datasets: DatasetOption,
    planner: PlannerOption = "ExperimentPlanner",
    gigabytes: MemoryOption = None,
    spacing: SpacingOption = None,
    name: NameOption = None,
    preprocessor: PreprocessorOption = PREPROCESSOR,
    explains: Annotated[bool, typer.Option("--explain", help="Say why it is what it is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Plan data sets as nnU-Net 2.8 does, from their fingerprint and dataset.json.

    Reads nnUNet_preprocessed/DATASET/dataset_fingerprint.json and dataset.json, and writes the plans
    beside them, equal to nnU-Net's byte for byte. PyTorch is not needed. Where nnUNet_raw is set and has the
    data set, its dataset.json and splits are copied first.
    """
    from gpuprep.nnunet.folders import (
        PREPROCESSED,
        Preprocessed,
        find_dataset,
        folder_of,
        raw_folder,
    )
    from gpuprep.nnunet.planners import find_planner

    find_planner(planner)
    one_of("preprocessor_name", preprocessor, (PREPROCESSOR,))
    preprocessed, made = folder_of(PREPROCESSED), []
    words = PlanWords(planner, gigabytes, spacing, name, explains and not as_json)
    for each in datasets:
        folder = Preprocessed(preprocessed / find_dataset(each, preprocessed), raw_folder())
        made.append(plan_one(folder, words))
        if not (explains or as_json):
            out.print(f"{escape(made[-1]['plans'])}: {', '.join(made[-1]['configurations'])}")
    if as_json:
        print_json({"plans": made})


def plan_one(folder: Preprocessed, words: PlanWords) -> dict[str, Any]:
    """Plan a data set and say what there is to note; returns what ``--json`` prints of it."""
    from gpuprep.nnunet.explain import explain
    from gpuprep.nnunet.plan import plan_dataset
    from gpuprep.nnunet.planners import find_planner

    folder.take_over()
    dataset, planner = folder.dataset, find_planner(words.planner)
    planned = plan_dataset(
        folder.fingerprint,
        dataset,
        planner,
        gigabytes=words.gigabytes,
        spacing=words.spacing,
        name=words.name,
    )
    file, kept, gone = folder.save_plans(planned.document)
    for warning in planned.warnings:
        err.print(f"[yellow]note[/] {escape(warning)}")
    if gone:
        err.print(f"[yellow]note[/] {', '.join(gone)} of an older plan went: the new one has none")
    if kept:
        err.print(f"[yellow]note[/] {', '.join(map(escape, kept))} of your own stayed in the file")
    if words.explains:
        out.print(explain(planned, dataset, planner, words.gigabytes))
    return {
        "dataset": dataset.name,
        "plans": str(file),
        "configurations": list(planned.document["configurations"]),
        "warnings": list(planned.warnings),
    }
