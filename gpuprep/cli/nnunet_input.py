"""``gpuprep nnunet predict-input``: new images to what a trained network takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.nnunet import BarOption
from gpuprep.cli.nnunet_means import (
    BackendOption,
    OverwriteOption,
    SchedulerOption,
    means_of,
)
from gpuprep.cli.nnunet_predictions import ConfigurationOption, PlansOption
from gpuprep.cli.nnunet_prepare import app
from gpuprep.cli.terminal import JsonOption, SetOption, command, err, out, print_json, session

__all__ = ["app"]


@command(app, "predict-input")
def predict_input(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help="Folders or files, CASE_0000.nii.gz …")
    ],
    output: Annotated[Path, typer.Argument(help="Folder to make; the same again goes on.")],
    plans: PlansOption,
    configuration: ConfigurationOption,
    previous: Annotated[
        Path | None,
        typer.Option("-prev_stage_predictions", help="Segmentations of a cascade's first stage."),
    ] = None,
    workers: Annotated[int | None, typer.Option("-npp", min=1, help="Worker processes.")] = None,
    backend: BackendOption = "auto",
    scheduler: SchedulerOption = None,
    overrides: SetOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    no_progress: BarOption = False,
) -> None:
    """Make of new images what nnUNetv2_predict would feed its network.

    OUTPUT/cohort is a cohort like any other. Its arrays are those that training would have. What the network
    makes of them goes back to the scans with gpuprep nnunet export-prediction.
    """
    from gpuprep.cli.progress import ProgressView
    from gpuprep.nnunet.predict_input import predict_input as feed

    number = [workers] if workers else None
    means = means_of(number, backend, scheduler, overrides, overwrite=overwrite)
    console = err if as_json else out
    with ProgressView(console, live=not no_progress, verbose=session.verbose) as view:
        done = feed(
            plans,
            configuration,
            inputs,
            output,
            previous=previous,
            means=means,
            listeners=[view],
        )
    if as_json:
        print_json({"cohort": str(done.cohort), **done.report.to_json()})
    else:
        there = done.report.finished.done + done.report.finished.skipped
        out.print(f"{there} cases in {escape(str(done.cohort))}")
    raise typer.Exit(done.report.exit_code)
