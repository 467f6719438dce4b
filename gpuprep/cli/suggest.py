"""``gpuprep suggest``: a config for a cohort, from its own facts. Parse, call, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import ConfigOption, JsonOption, SetOption, command, err, print_json
from gpuprep.cli.work_bar import work_bar
from gpuprep.config.file import load_config

app = typer.Typer()


@command(app)
def suggest(
    input: Annotated[
        Path, typer.Argument(help="Folder, manifest, dataset.json or file; or a finished cohort.")
    ],
    gigabytes: Annotated[
        float | None, typer.Option("--gpu", min=1, help="GB of the GPU to train on.")
    ] = None,
    planner: Annotated[
        str, typer.Option(help="nnU-Net's planner that sets patch and batch.")
    ] = "ExperimentPlanner",
    headers_only: Annotated[
        bool, typer.Option("--headers-only", help="Read no voxels: quick, without intensities.")
    ] = False,
    limit: Annotated[int | None, typer.Option(help="Only the first N cases.", min=1)] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a commented config for INPUT to standard output: each line with its reason and numbers.

    What --config and --set say of input and label, and the orientation, is kept.
    """
    from gpuprep.advice.suggestion import suggest as make
    from gpuprep.advice.survey import survey as facts_of
    from gpuprep.nnunet.planners import find_planner

    base, chosen = load_config(config, overrides or ()), find_planner(planner)
    with work_bar("suggest") as tick:
        facts = facts_of(input, base, limit=limit, headers_only=headers_only, on_case=tick)
    made = make(facts, base, chosen, gigabytes)
    if as_json:
        print_json(made.to_json())
        return
    for warning in made.warnings:
        err.print(f"[yellow]note[/] {escape(warning)}")
    sys.stdout.write(made.text)
