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
from gpuprep.values.errors import UsageError

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
    datastats: Annotated[
        Path | None,
        typer.Option(help="Write datastats.yaml and datastats_by_case.yaml for Auto3DSeg here."),
    ] = None,
    components: Annotated[
        bool,
        typer.Option("--components", help="Count components there, as MONAI's do_ccp does."),
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a commented config for INPUT to standard output: each line with its reason and numbers.

    What --config and --set say of input and label, and the orientation, is kept. Of a finished cohort the
    records are read, and no file of its input.
    """
    from gpuprep.advice.auto3dseg import CaseStats
    from gpuprep.advice.datastats import DataStats
    from gpuprep.advice.recorded import is_stored, recorded
    from gpuprep.advice.suggestion import suggest as make
    from gpuprep.advice.survey import survey
    from gpuprep.ledger.output import load_output_config
    from gpuprep.nnunet.planners import find_planner

    base, chosen = load_config(config, overrides or ()), find_planner(planner)
    if datastats and headers_only:
        raise UsageError("--datastats needs the voxels; leave out --headers-only")
    stored, stats = is_stored(input), DataStats()
    if stored and (datastats or config or overrides):
        raise UsageError(
            f"{input} is a stored cohort: --datastats is about the voxels before it, and it has a config",
            advice="give the input that it was made from",
        )
    with work_bar("suggest") as tick:
        if stored:
            base = load_output_config(str(input))
            facts = recorded(input, limit=limit, on_case=tick)
        else:
            facts = survey(
                input,
                base,
                limit=limit,
                headers_only=headers_only,
                extra=CaseStats(components=components) if datastats else None,
                on_extra=stats.take,
                on_case=tick,
            )
    if datastats:
        files = stats.save(datastats)
        for case, why in stats.left_out.items():
            err.print(f"[yellow]note[/] {escape(case)} is not in {escape(str(files[0]))}: {why}")
    made = make(facts, base, chosen, gigabytes)
    if as_json:
        print_json(made.to_json())
        return
    for warning in made.warnings:
        err.print(f"[yellow]note[/] {escape(warning)}")
    sys.stdout.write(made.text)
