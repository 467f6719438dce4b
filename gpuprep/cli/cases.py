"""The commands about stored cases, and the demo. Parse, call, print; the work is done elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.markup import escape

from gpuprep.cli.terminal import (
    ConfigOption,
    JsonOption,
    OutputNameOption,
    SetOption,
    command,
    out,
    print_json,
)
from gpuprep.cli.work_bar import work_bar
from gpuprep.config.file import load_config

app = typer.Typer()


@command(app)
def inspect(
    path: Annotated[
        Path, typer.Argument(help="File, DICOM folder, stored case, OUTPUT/case or OUTPUT.")
    ],
    config: ConfigOption = None,
    overrides: SetOption = None,
    png: Annotated[Path | None, typer.Option(help="Draw three planes into this .png file.")] = None,
    label: Annotated[str | None, typer.Option(help="Label map to draw; else the first.")] = None,
    channel: Annotated[int, typer.Option(help="Channel to draw, from 0.", min=0)] = 0,
    output_name: OutputNameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say everything about an input or a stored case: grid, values, labels, findings, provenance.

    Of a whole OUTPUT it tells the channels and classes that its cases agree on.
    """
    from gpuprep.drawing import save_picture
    from gpuprep.viewing import inspect_path
    from gpuprep.viewing.cohort import cohort_page, inspect_cohort, is_cohort
    from gpuprep.viewing.page import draw, page

    if png is None and is_cohort(path):
        seen = inspect_cohort(path, output_name)
        if as_json:
            print_json(seen.to_json())
        else:
            out.print(cohort_page(seen))
        return
    found = inspect_path(path, load_config(config, overrides or ()), output_name)
    drawn = png is not None and found.failure is None
    if png is not None and drawn:
        save_picture(draw(found, label=label, channel=channel), png)
    if as_json:
        print_json(found.to_json())
    else:
        out.print(page(found))
        if png is not None:
            told = escape(str(png)) if drawn else "none, the voxels cannot be read"
            out.print(f"picture: {told}")
    raise typer.Exit(1 if found.failure else 0)


@command(app)
def export(
    output: Annotated[Path, typer.Argument(help="Folder of a cohort.")],
    case: Annotated[str, typer.Argument(help="Case id.")],
    file: Annotated[Path, typer.Argument(help="Target: .nii, .nii.gz, .mha or .nrrd.")],
    label: Annotated[
        str | None, typer.Option(help="Write this label map instead of the image.")
    ] = None,
    channel: Annotated[
        int | None, typer.Option(help="Channel of a multi-channel image, from 0.")
    ] = None,
    array: Annotated[
        Path | None,
        typer.Option(help="Write this instead: .npy, .nii.gz, .mha, .nrrd or Zarr, on its grid."),
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="Bring the voxels back to the grid of the source.")
    ] = False,
    interpolation: Annotated[
        Literal["nearest", "linear"],
        typer.Option(help="How labels go back: the nearest voxel, or a vote among eight."),
    ] = "linear",
    outside: Annotated[
        float | None, typer.Option(help="Value outside the crop; else 0, or an image's minimum.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    output_name: OutputNameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a stored array, or a prediction on its grid, to a file that every medical viewer opens."""
    from functools import partial

    from gpuprep.export import export_case, export_prediction
    from gpuprep.values.errors import UsageError

    if array is None:
        write = partial(export_case, label=label, channel=channel)
    elif label is None and channel is None:
        write = partial(export_prediction, prediction=array)
    else:
        raise UsageError("--array and --label or --channel exclude one another: one array a file")
    written = write(
        output,
        case,
        file,
        native=native,
        interpolation=interpolation,
        outside=outside,
        overwrite=overwrite,
        output_name=output_name,
    )
    if as_json:
        print_json(written.to_json())
        return
    out.print(
        f"[green]written[/] {escape(str(file))}: {written.geometry.describe()}, {written.dtype}"
    )


@command(app)
def convert(
    output: Annotated[Path, typer.Argument(help="Folder of a cohort.")],
    folder: Annotated[
        Path, typer.Argument(help="Folder to write; new, or of a call that broke off.")
    ],
    to: Annotated[
        Literal["nnunet", "msd"],
        typer.Option(help="nnU-Net's preprocessed cases, or the layout of the MSD."),
    ],
    case: Annotated[
        list[str] | None, typer.Option(help="Only this case; may be given several times.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label map, where cases have several.")] = None,
    output_name: OutputNameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a cohort, on its own grids, as other training software wants it."""
    from gpuprep.export import convert_cohort

    with work_bar("convert") as tick:
        written = convert_cohort(
            output,
            folder,
            to,
            cases=case or (),
            label=label,
            output_name=output_name,
            on_case=tick,
        )
    if as_json:
        print_json(written.to_json())
        return
    out.print(f"[green]written[/] {escape(str(folder))}: {len(written.cases)} cases")


@command(app)
def index(
    output: Annotated[str, typer.Argument(help="Folder or s3:// URL of a cohort.")],
    as_json: JsonOption = False,
) -> None:
    """Make the list of cases, manifest.jsonl and index.npz, anew from the cases."""
    from gpuprep.ledger.index import rebuild_manifest

    with work_bar("index"):
        number, broken = rebuild_manifest(output)
    if as_json:
        print_json({"cases": number, "broken": list(broken)})
    else:
        for case in broken:
            out.print(f"[red]damaged[/] {escape(case)}: not listed")
        out.print(f"{number} cases listed")
    raise typer.Exit(1 if broken else 0)


@command(app)
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to make; run again to resume.")],
) -> None:
    """Make a small cohort of real volumes from installed packages, run it, say what to look at."""
    from gpuprep.cli.demo import run_demo

    raise typer.Exit(run_demo(folder, out))
