"""The command line: parse, call, print. Every command's work is done elsewhere."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.markup import escape

from gpuprep.cli import bench, cases, cluster, guide, outputs, run
from gpuprep.cli.terminal import JsonOption, SetOption, VerboseOption, err, out, print_json, session
from gpuprep.values.errors import CaseError, GpuprepError, RunStopped, StoreFault, UsageError
from gpuprep.values.version import __version__

app = typer.Typer(
    name="gpuprep",
    help="Folders of CT and MR scans in, training-ready Zarr cohorts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Check, show or document a config.", no_args_is_help=True)
app.add_typer(config_app, name="config")
for commands in (run, outputs, cases, cluster, bench, guide):
    commands.register(app)


def _show_version(value: bool) -> None:
    if value:
        out.print(f"gpuprep {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Options that stand before the command."""


@app.command()
def doctor(as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Say what is installed, what will be used and what is missing."""
    from gpuprep.cli.doctor import examine

    checks = examine()
    if as_json:
        print_json([vars_of(check) for check in checks])
    else:
        for check in checks:
            mark = {"ok": "[green]ok[/]  ", "note": "[yellow]note[/]", "bad": "[red]bad[/] "}
            out.print(f"{mark[check.state]} {check.name}: {escape(check.text)}", highlight=False)
    raise typer.Exit(1 if any(check.state == "bad" for check in checks) else 0)


@config_app.command("check")
def config_check(
    file: Annotated[Path, typer.Argument(help="YAML config.")],
    overrides: SetOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Validate a config and print its digest."""
    from gpuprep.config.file import load_config
    from gpuprep.preprocess.reference import with_reference

    config = with_reference(load_config(file, overrides or ()))
    out.print(f"{file} is valid; digest {config.digest}", highlight=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    from gpuprep.config.model import Config

    print_json(Config.model_json_schema(by_alias=True))


@config_app.command("show")
def config_show(
    file: Annotated[
        Path | None, typer.Argument(help="YAML config; without it, the defaults.")
    ] = None,
    overrides: SetOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Print a config with every default filled in."""
    from gpuprep.config.file import load_config

    text = yaml.safe_dump(load_config(file, overrides or ()).resolved(), sort_keys=False)
    sys.stdout.write(text)


def main() -> None:
    """Entry point: runs the command; errors end in one message and the exit code of their kind."""
    try:
        app()
    except GpuprepError as error:
        if session.verbose:
            traceback.print_exc()
        err.print(f"[red]error[/] {escape(str(error))}", highlight=False)
        if error.advice:
            err.print(f"      try: {escape(error.advice)}", highlight=False)
        code = _exit_code(error)
        if session.json:
            print_json({"error": str(error), "advice": error.advice, "exit_code": code})
        raise SystemExit(code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        raise SystemExit(0) from None
    except OSError as error:
        if session.verbose:
            traceback.print_exc()
        err.print(f"[red]error[/] {escape(str(error))}", highlight=False)
        raise SystemExit(2) from None


def _exit_code(error: GpuprepError) -> int:
    if isinstance(error, UsageError):
        return 2
    if isinstance(error, RunStopped | StoreFault):
        return 3
    return 1 if isinstance(error, CaseError) else 2


def vars_of(entry: Any) -> dict[str, Any]:
    """The fields of a small value, for JSON."""
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


if __name__ == "__main__":
    main()
