"""The command line: parse, call, print. Every command's work is done elsewhere."""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from gpuprep.cli import (
    bench,
    cases,
    cluster,
    config,
    doctor,
    guide,
    jobs,
    nnunet_input,
    outputs,
    report,
    run,
    serve,
    suggest,
    view,
)
from gpuprep.cli.streams import ensure_utf8_names, open_streams
from gpuprep.cli.terminal import VerboseOption, err, out, print_json, session
from gpuprep.values.errors import (
    CaseError,
    CohortWarning,
    GpuprepError,
    RunStopped,
    ServiceError,
    StoreFault,
)
from gpuprep.values.version import __version__

app = typer.Typer(
    name="gpuprep",
    help="Folders of CT and MR scans in, training-ready Zarr cohorts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (
    run,
    suggest,
    outputs,
    cases,
    view,
    report,
    cluster,
    bench,
    doctor,
    guide,
):  # as the help lists them
    app.add_typer(commands.app)
app.add_typer(config.app, name="config")
app.add_typer(serve.app, name="serve")
app.add_typer(jobs.app, name="jobs")
app.add_typer(nnunet_input.app, name="nnunet")


def _show_version(value: bool) -> None:
    if value:
        out.print(f"gpuprep {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
    verbose: VerboseOption = False,
) -> None:
    """Options that stand before the command."""
    session.verbose |= verbose


def _noting(show: Callable[..., None]) -> Callable[..., None]:
    """Shows a warning of ours as a note, any other as ``show`` does."""

    def note(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, CohortWarning):
            err.print(f"[yellow]note[/] {escape(str(message))}")
        else:
            show(message, category, *place, **more)

    return note


def main() -> None:
    """Entry point: runs the command; errors end in one message and the exit code of their kind."""
    ensure_utf8_names()
    open_streams()
    warnings.showwarning = _noting(warnings.showwarning)
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        sys.stderr.close()
        raise SystemExit(0) from None
    except (GpuprepError, OSError) as error:
        if session.verbose:
            traceback.print_exc()
        err.print(f"[red]error[/] {escape(str(error))}")
        code = _exit_code(error)
        if isinstance(error, GpuprepError):
            if error.advice:
                err.print(f"      try: {escape(error.advice)}")
            if session.json:
                print_json({"error": str(error), "advice": error.advice, "exit_code": code})
        raise SystemExit(code) from None


def _exit_code(error: GpuprepError | OSError) -> int:
    if isinstance(error, RunStopped | StoreFault):
        return 3
    if isinstance(error, ServiceError):
        return 3 if error.may_pass else 2
    return 1 if isinstance(error, CaseError) else 2


if __name__ == "__main__":
    main()
