"""The command that opens a browser on an input, a case or a cohort."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from gpuprep.cli.serve import need_extra
from gpuprep.cli.terminal import ConfigOption, OutputNameOption, SetOption, command, err

app = typer.Typer()


@command(app)
def view(
    path: Annotated[
        str,
        typer.Argument(
            help="File, DICOM folder, stored case, OUTPUT/case, or OUTPUT or its URL.",
            show_default=False,
        ),
    ],
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link.")] = False,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 0,
    output_name: OutputNameOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Look at an input, a stored case or a cohort in a browser, until Ctrl-C; nothing leaves this machine."""
    need_extra("viewing")
    from gpuprep.config.file import load_config
    from gpuprep.service.server import view as serve_until_ended
    from gpuprep.viewing.opened import open_path

    opened = open_path(path, load_config(config, overrides or ()), output_name)

    def show(link: str) -> None:
        print(link, flush=True)
        if no_browser or not webbrowser.open(link):
            err.print("open this link in a browser; it works once. Ctrl-C ends it")
        else:
            err.print("a browser was opened on it. Ctrl-C ends it")

    with tempfile.TemporaryDirectory(prefix="gpuprep-view-") as folder:
        serve_until_ended(opened, Path(folder), port=port, show=show)
