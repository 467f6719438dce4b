"""``gpuprep nnunet``: what goes into a trained network and what comes out of it, and its folds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, command, err, out, print_json
from gpuprep.cli.work_bar import work_bar

app = typer.Typer()

PlansOption = Annotated[
    Path, typer.Option("-p", metavar="PLANS", help="Plans file; dataset.json lies beside it.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads of a case; by default as many as cores.")
]
ConfigurationOption = Annotated[
    str, typer.Option("-c", metavar="CONFIGURATION", help="As 3d_fullres.")
]


@command(app, "export-prediction")
def export_prediction(
    output: Annotated[
        Path,
        typer.Argument(help="Folder that predict-input made, or a cohort of its configuration."),
    ],
    logits: Annotated[
        Path, typer.Argument(help="Folder of CASE.npy or CASE.zarr: class, then the stored axes.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where segmentations are written.")],
    configuration: ConfigurationOption,
    plans: Annotated[
        Path | None,
        typer.Option("-p", metavar="PLANS", help="Plans file; by default that of predict-input."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this case; may be given several times.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--save_probabilities", help="Write CASE.npz as well.")
    ] = False,
    threads: ThreadsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a network's logits back to the grids of the scans, as nnUNetv2_predict does.

    Exits with 1 where a case could not be written; the others are.
    """
    from gpuprep.host.resources import available_cores
    from gpuprep.nnunet.new_cases import COHORT, PLANS
    from gpuprep.nnunet.predictions import export_predictions
    from gpuprep.nnunet.trained import TrainedNetwork

    fed = output / COHORT
    network = TrainedNetwork.read(plans or output / PLANS, configuration)
    with work_bar("export") as tick:
        done = export_predictions(
            fed if fed.is_dir() else output,
            logits,
            folder,
            network,
            cases=only or (),
            probabilities=probabilities,
            overwrite=overwrite,
            threads=threads or available_cores(),
            on_case=tick,
        )
    if as_json:
        print_json({"written": [each.to_json() for each in done.written], "failed": done.failed})
    else:
        _print_failed(done.failed)
        out.print(f"[green]written[/] {escape(str(folder))}: {len(done.written)} segmentations")
    raise typer.Exit(1 if done.failed else 0)


@command(app, "next-stage")
def next_stage(
    logits: Annotated[
        Path, typer.Argument(help="Folder of CASE.npy or CASE.zarr, on the first stage's grid.")
    ],
    dataset: Annotated[str, typer.Option("-d", metavar="ID", help="Number or name of a data set.")],
    plans: Annotated[str, typer.Option("-p", help="Name of the plans.")] = "nnUNetPlans",
    trainer: Annotated[str, typer.Option("-tr", help="Name of the trainer.")] = "nnUNetTrainer",
    configuration: Annotated[str, typer.Option("-c", help="The first stage.")] = "3d_lowres",
    only: Annotated[
        list[str] | None, typer.Option(help="Only this case; may be given several times.")
    ] = None,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what the second stage of a cascade trains on, from logits of the first.

    Files lie in nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION/predicted_next_stage, where nnU-Net's
    trainer looks. The arrays of the second stage must be there. Exits with 1 where a case could not be
    written; the others are.
    """
    from gpuprep.host.resources import available_cores
    from gpuprep.nnunet.folders import PREPROCESSED, find_dataset, folder_of
    from gpuprep.nnunet.next_stage import RESULTS, write_next_stage
    from gpuprep.nnunet.trained import TrainedNetwork

    preprocessed, results = folder_of(PREPROCESSED), folder_of(RESULTS)
    name = find_dataset(dataset, preprocessed)
    network = TrainedNetwork.read(preprocessed / name / f"{plans}.json", configuration)
    base = results / name / f"{trainer}__{plans}__{configuration}"
    with work_bar("next stage") as tick:
        done = write_next_stage(
            network,
            preprocessed / name,
            logits,
            base,
            cases=only or (),
            threads=threads or available_cores(),
            on_case=tick,
        )
    if as_json:
        print_json({"written": [str(file) for file in done.files], "failed": done.failed})
    else:
        _print_failed(done.failed)
        out.print(f"[green]written[/] {escape(str(base))}: {len(done.files)} segmentations")
    raise typer.Exit(1 if done.failed else 0)


def _print_failed(failed: dict[str, str]) -> None:
    for case, why in failed.items():
        err.print(f"[red]failed[/] {escape(case)}: {escape(why)}")
