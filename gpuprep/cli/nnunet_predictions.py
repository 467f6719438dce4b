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
ConfigurationOption = Annotated[
    str, typer.Option("-c", metavar="CONFIGURATION", help="As 3d_fullres.")
]


@command(app)
def export_prediction(
    output: Annotated[Path, typer.Argument(help="Cohort that the network was fed with.")],
    logits: Annotated[
        Path, typer.Argument(help="Folder of CASE.npy or CASE.zarr: class, then the stored axes.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where segmentations are written.")],
    plans: PlansOption,
    configuration: ConfigurationOption,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this case; may be given several times.")
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--save_probabilities", help="Write CASE.npz as well.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of a case.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring a network's logits back to the grids of the scans, as nnUNetv2_predict does.

    Exits with 1 where a case could not be written; the others are.
    """
    from gpuprep.nnunet.predictions import Network, export_predictions

    network = Network.read(plans, configuration)
    with work_bar("export") as tick:
        done = export_predictions(
            output,
            logits,
            folder,
            network,
            cases=only or (),
            probabilities=probabilities,
            overwrite=overwrite,
            threads=threads,
            on_case=tick,
        )
    if as_json:
        print_json({"written": [each.to_json() for each in done.written], "failed": done.failed})
    else:
        for case, why in done.failed.items():
            err.print(f"[red]failed[/] {escape(case)}: {escape(why)}")
        out.print(f"[green]written[/] {escape(str(folder))}: {len(done.written)} segmentations")
    raise typer.Exit(1 if done.failed else 0)
