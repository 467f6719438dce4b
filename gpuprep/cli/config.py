"""The commands about a config by itself: check, schema, show."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from gpuprep.cli.terminal import SetOption, command, out, print_json
from gpuprep.config.file import load_config
from gpuprep.config.model import Config

app = typer.Typer(help="Check, show or document a config.", no_args_is_help=True)


@command(app)
def check(
    file: Annotated[Path, typer.Argument(help="YAML config.")], overrides: SetOption = None
) -> None:
    """Validate a config and print its digest."""
    from gpuprep.preprocess.reference import with_reference

    config = with_reference(load_config(file, overrides or ()))
    out.print(f"{file} is valid; digest {config.digest}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    print_json(Config.model_json_schema(by_alias=True))


@command(app)
def show(
    file: Annotated[
        Path | None, typer.Argument(help="YAML config; without it, the defaults.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Print a config with every default filled in."""
    sys.stdout.write(yaml.safe_dump(load_config(file, overrides or ()).resolved(), sort_keys=False))
