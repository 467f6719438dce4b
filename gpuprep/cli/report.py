"""The command about a whole cohort in numbers. Parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.outputs import OutputArgument
from gpuprep.cli.terminal import JsonOption, command, out, print_json

app = typer.Typer()
_SHOWN = 12


@command(app)
def report(
    output: OutputArgument,
    html: Annotated[
        Path | None, typer.Option(help="Write the report there, not as report.html into OUTPUT.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write every measured number there, one row per case.")
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option(help="The same as Parquet; needs pyarrow.")
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(min=0, help="Cases of which it has a picture, at most.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a cohort in one HTML file: outliers, distributions, classes, failures, pictures, cases.

    The file has all in itself: it opens from a mail and asks for nothing. Only
    the index and the voxels of the pictures are read. With --json it prints the
    numbers of the report, and writes only the files that are named.
    """
    from gpuprep.config.report import DEFAULT_NAMES
    from gpuprep.quality.pictures import MOST
    from gpuprep.quality.report import check_takes_files, report_of, write_beside, write_file
    from gpuprep.store.places import to_place

    wanted = MOST if pictures is None else pictures
    named = {
        kind: file for kind, file in (("html", html), ("csv", csv), ("parquet", parquet)) if file
    }
    beside = not (named or as_json)
    if beside:
        check_takes_files(to_place(output))
    made = report_of(output, pictures=wanted if html or beside else 0)
    written = []
    for kind, file in named.items():
        write_file(file, getattr(made, kind)())
        written.append(str(file))
    if beside:
        written.append(write_beside(to_place(output), DEFAULT_NAMES["html"], made.html()))
    quality = made.quality
    if as_json:
        overview = quality.to_json(quality.choose())
        print_json({**overview, "files": written, "seconds": made.seconds})
        return
    for each in quality.outliers[:_SHOWN]:
        name = escape(quality.ids[each.row])
        out.print(f"[yellow]{each.kind}[/]  {name}  {escape(each.text)}")
    more = len(quality.outliers) - _SHOWN
    if more > 0:
        out.print(f"… and {more:,} more that are unlike the others")
    for note in (*quality.notes, *made.content.notes):
        out.print(f"[yellow]note[/] {escape(note)}")
    shown = len(made.content.pictures.urls)
    told = f", pictures of {shown:,}" if shown else ""
    strange = len(quality.outliers)
    out.print(f"{len(quality.ids):,} cases, {strange:,} outlier{'s' * (strange != 1)}{told}")
    for place in written:
        out.print(f"written: {escape(place)}")
