"""``gpuprep nnunet predict-input``: new images to what a trained network takes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.nnunet_predictions import ConfigurationOption, PlansOption
from gpuprep.cli.terminal import JsonOption, command, err, one_of, out, print_json, session

app = typer.Typer()


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
    backend: Annotated[str, typer.Option(help="auto, numpy or cupy.")] = "auto",
    workers: Annotated[int | None, typer.Option("-npp", min=1, help="Worker processes.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="local, serial, tls://host:port or a scheduler file (.json).")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make every case anew.")] = False,
    as_json: JsonOption = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="Plain lines, no live bar.")
    ] = False,
) -> None:
    """Make of new images what nnUNetv2_predict would feed its network.

    OUTPUT/cohort is a cohort like any other. Its arrays are those that training would have. What the network
    makes of them goes back to the scans with gpuprep nnunet export-prediction.
    """
    import sys

    from gpuprep.cli.progress import ProgressView
    from gpuprep.nnunet.predict_input import predict_input as feed
    from gpuprep.nnunet.preprocess import Means

    engine = one_of("backend", backend, ("auto", "numpy", "cupy"))
    line = shlex.join(["gpuprep", *sys.argv[1:]])
    means = Means(engine, workers, scheduler, overwrite, command=line)
    with ProgressView(
        err if as_json else out, live=not no_progress, verbose=session.verbose
    ) as view:
        done = feed(
            plans, configuration, inputs, output, previous=previous, means=means, listeners=[view]
        )
    if as_json:
        print_json({"cohort": str(done.cohort), **done.report.to_json()})
    else:
        out.print(
            f"{done.report.finished.done + done.report.finished.skipped} cases in {escape(str(done.cohort))}"
        )
    raise typer.Exit(done.report.exit_code)
