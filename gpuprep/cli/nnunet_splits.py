"""``gpuprep nnunet splits``: which cases train and which validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, command, err, out, print_json

app = typer.Typer()


@command(app)
def splits(
    dataset: Annotated[str, typer.Option("-d", metavar="ID", help="Number or name of a data set.")],
    groups: Annotated[
        Path | None,
        typer.Option(help="Table (.csv, .tsv) with case_id and the group of each case."),
    ] = None,
    by: Annotated[str, typer.Option(help="Column of that table that names the group.")] = "patient",
    pattern: Annotated[
        str | None,
        typer.Option(
            "--group-pattern", help="Regular expression whose match in an id is its group."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace splits that are there.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write splits_final.json, nnU-Net's five folds, or folds that divide no patient.

    Without groups they are those that nnU-Net's trainer would make. Cases are those of the raw data set, else
    those that are preprocessed.
    """
    from gpuprep.nnunet.folders import (
        PREPROCESSED,
        Preprocessed,
        find_dataset,
        folder_of,
        raw_folder,
    )
    from gpuprep.nnunet.folds import doubts_about, split_folds
    from gpuprep.nnunet.groups import groups_by_pattern, read_groups
    from gpuprep.nnunet.splits import cases_to_split, prepared_cases, save_splits
    from gpuprep.values.errors import UsageError

    if groups is not None and pattern is not None:
        raise UsageError("--groups and --group-pattern exclude one another: one says the groups")
    preprocessed, raw = folder_of(PREPROCESSED), raw_folder()
    name = find_dataset(dataset, preprocessed, *([raw] if raw else []))
    folder = Preprocessed(preprocessed / name, raw)
    ids = cases_to_split(folder)
    held = None
    if groups is not None:
        held = read_groups(groups, by)
    elif pattern is not None:
        held = groups_by_pattern(ids, pattern)
    folds = split_folds(ids, held)
    file = save_splits(folder, folds, overwrite=overwrite)
    there = prepared_cases(folder)
    if there and (doubts := doubts_about(folds, there)):
        err.print(f"[yellow]note[/] {escape(str(file))} {escape(doubts)}")
    if as_json:
        print_json({"splits": str(file), "folds": folds})
        return
    sizes = ", ".join(str(len(fold["val"])) for fold in folds)
    out.print(f"{escape(str(file))}: {len(ids)} cases, of which {sizes} validate")
