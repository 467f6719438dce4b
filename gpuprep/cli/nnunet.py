"""``gpuprep nnunet``: nnU-Net's own steps, with nnU-Net's flags and folders."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli import nnunet_predictions, nnunet_splits
from gpuprep.cli.terminal import JsonOption, command, err, out, print_json

app = typer.Typer(help="nnU-Net's plans, without nnU-Net.", no_args_is_help=True)
app.add_typer(nnunet_predictions.app)
app.add_typer(nnunet_splits.app)

DatasetOption = Annotated[
    list[str],
    typer.Option("-d", metavar="ID", help="Number or name of a data set; may be repeated."),
]


@command(app)
def plan(
    datasets: DatasetOption,
    more: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Further data sets.")
    ] = None,
    planner: Annotated[
        str, typer.Option("-pl", help="Planner, by nnU-Net's name of its class.")
    ] = "ExperimentPlanner",
    gigabytes: Annotated[
        float | None, typer.Option("-gpu_memory_target", min=1, help="GB of the GPU to plan for.")
    ] = None,
    spacing: Annotated[
        tuple[float, float, float] | None,
        typer.Option("-overwrite_target_spacing", help="mm, z y x, in place of the rule's."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("-overwrite_plans_name", help="In place of the planner's.")
    ] = None,
    explains: Annotated[bool, typer.Option("--explain", help="Say why it is what it is.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Plan data sets as nnU-Net 2.8 does, from their fingerprint and dataset.json.

    Reads nnUNet_preprocessed/DATASET/dataset_fingerprint.json and dataset.json, and writes the plans
    beside them, equal to nnU-Net's byte for byte. PyTorch is not needed. Where nnUNet_raw is set and has the
    data set, its dataset.json and splits are copied first.
    """
    from gpuprep.nnunet.explain import explain
    from gpuprep.nnunet.folders import (
        PREPROCESSED,
        Preprocessed,
        find_dataset,
        folder_of,
        raw_folder,
    )
    from gpuprep.nnunet.plan import plan_dataset
    from gpuprep.nnunet.planners import find_planner

    chosen, made = find_planner(planner), []
    preprocessed = folder_of(PREPROCESSED)
    for each in (*datasets, *(more or ())):
        folder = Preprocessed(preprocessed / find_dataset(each, preprocessed), raw_folder())
        folder.take_over()
        dataset = folder.dataset
        planned = plan_dataset(
            folder.fingerprint,
            dataset,
            chosen,
            gigabytes=gigabytes,
            spacing=spacing,
            name=name,
        )
        file, kept, gone = folder.save_plans(planned.document)
        made.append(
            {"dataset": dataset.name, "plans": str(file), "warnings": list(planned.warnings)}
        )
        for warning in planned.warnings:
            err.print(f"[yellow]note[/] {escape(warning)}")
        if gone:
            err.print(
                f"[yellow]note[/] {', '.join(gone)} of an older plan went: the new one has none"
            )
        if kept:
            err.print(
                f"[yellow]note[/] {', '.join(map(escape, kept))} of your own stayed in the file"
            )
        if explains and not as_json:
            out.print(explain(planned, dataset, chosen, gigabytes))
        elif not as_json:
            out.print(f"{escape(str(file))}: {', '.join(planned.document['configurations'])}")
    if as_json:
        print_json({"plans": made})
