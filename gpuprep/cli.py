"""The command line: parse, call, print. Every command's work is done elsewhere."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.markup import escape
from rich.table import Table

import gpuprep
from gpuprep import cli_cases, cli_cluster
from gpuprep.errors import CaseError, GpuprepError, RunStopped, UsageError
from gpuprep.terminal import (
    ConfigOption,
    JsonOption,
    SetOption,
    VerboseOption,
    err,
    one_of,
    out,
    print_json,
    session,
)

app = typer.Typer(
    name="gpuprep",
    help="Folders of CT and MR scans in, training-ready Zarr cohorts out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Check, show or document a config.", no_args_is_help=True)
app.add_typer(config_app, name="config")
cli_cases.register(app)
cli_cluster.register(app)


def _show_version(value: bool) -> None:
    if value:
        out.print(f"gpuprep {gpuprep.__version__}", highlight=False)
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
def run(
    input: Annotated[Path, typer.Argument(help="Folder, manifest, dataset.json or file.")],
    output: Annotated[str, typer.Argument(help="Folder or s3:// URL of the cohort to make.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    backend: Annotated[str, typer.Option(help="auto, numpy or cupy.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="local, serial, tls://host:port or a scheduler file (.json)."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N cases.", min=1)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, write nothing.")
    ] = False,
    as_json: JsonOption = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="Plain lines, no live bar.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make every case anew.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Preprocess every case of INPUT into the cohort at OUTPUT; done cases are skipped."""
    from gpuprep.config_file import load_config
    from gpuprep.coordinator import run as run_cohort
    from gpuprep.progress import ProgressView

    parsed = load_config(config, overrides or ())
    if dry_run:
        _plan(input, parsed, limit, as_json=as_json)
        return
    console = err if as_json else out
    with ProgressView(console, live=not no_progress, verbose=session.verbose) as view:
        report = run_cohort(
            input,
            output,
            config=parsed,
            backend=one_of("backend", backend, ("auto", "numpy", "cupy")),
            workers=workers,
            scheduler=scheduler,
            limit=limit,
            overwrite=overwrite,
            listeners=[view],
        )
    if as_json:
        failures = [failure.to_json() for failure in report.failures]
        unmatched = [{"path": path, "reason": reason} for path, reason in report.unmatched]
        print_json(
            {**report.finished.to_json(), "failures": failures, "unmatched": unmatched,
             "exit_code": report.exit_code}
        )  # fmt: skip
    elif report.failures:
        out.print(f"reasons: {output.rstrip('/')}/failures.jsonl", highlight=False)
    raise typer.Exit(report.exit_code)


@app.command()
def plan(
    input: Annotated[Path, typer.Argument(help="Folder, manifest, dataset.json or file.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N cases.", min=1)] = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what a run would do: cases, grids, bytes, refusals. Nothing is written."""
    from gpuprep.config_file import load_config

    _plan(input, load_config(config, overrides or ()), limit, as_json=as_json)


def _plan(source: Path, config: Any, limit: int | None, *, as_json: bool) -> None:
    from gpuprep.preview import preview_cohort
    from gpuprep.progress import human_bytes

    preview = preview_cohort(source, config, limit)
    if as_json:
        print_json(preview.to_json())
        raise typer.Exit(1 if preview.refused else 0)
    table = Table("case", "source x×y×z (mm)", "output x×y×z (mm)", "in", "out (raw)", "peak")
    for row in preview.projections:
        table.add_row(
            escape(row.case_id),
            _grid(row.source),
            _grid(row.output),
            human_bytes(row.bytes_in),
            human_bytes(row.bytes_out),
            human_bytes(row.peak_bytes),
        )
    out.print(table)
    for failure in preview.refused:
        out.print(
            f"[red]refused[/] {escape(failure.case_id)}  {failure.code}: {escape(failure.message)}",
            highlight=False,
        )
    for entry in preview.unmatched:
        out.print(f"[yellow]no case[/] {escape(entry.path)}: {entry.reason}", highlight=False)
    out.print(
        f"layout {preview.layout}: {len(preview.projections)} cases to do, "
        f"{len(preview.refused)} refused, {len(preview.unmatched)} files of no case; "
        f"{human_bytes(preview.bytes_in)} in, up to {human_bytes(preview.bytes_out)} out uncompressed",
        highlight=False,
    )
    raise typer.Exit(1 if preview.refused else 0)


@app.command()
def verify(
    output: Annotated[str, typer.Argument(help="Folder or s3:// URL of a cohort.")],
    full: Annotated[bool, typer.Option("--full", help="Check every checksum.")] = False,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Check every case against its record: sizes, and with --full every checksum."""
    from gpuprep.store.reader import open_cohort
    from gpuprep.store.verify import verify_cohort

    open_cohort(output)  # says so when there is none
    cases: list[str] = []
    problems = verify_cohort(output, full=full, on_case=lambda case, _: cases.append(case))
    if as_json:
        print_json({"cases": len(cases), "problems": [entry.to_json() for entry in problems]})
    else:
        for problem in problems:
            out.print(f"[red]damaged[/] {escape(str(problem))}", highlight=False)
        checked = "every checksum" if full else "sizes"
        out.print(
            f"{len(cases)} cases checked ({checked}): {len(problems)} problems", highlight=False
        )
    raise typer.Exit(1 if problems else 0)


@app.command()
def doctor(as_json: JsonOption = False, verbose: VerboseOption = False) -> None:
    """Say what is installed, what will be used and what is missing."""
    from gpuprep.doctor import examine

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
    from gpuprep.config_file import load_config
    from gpuprep.reference import with_reference

    config = with_reference(load_config(file, overrides or ()))
    out.print(f"{file} is valid; digest {config.digest}", highlight=False)


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON Schema of a config, for editors."""
    from gpuprep.config import Config

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
    from gpuprep.config_file import load_config

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
    if isinstance(error, RunStopped):
        return 3
    return 1 if isinstance(error, CaseError) else 2


def _grid(geometry: Any) -> str:
    size = "×".join(str(n) for n in geometry.size)
    spacing = "×".join(f"{s:.3g}" for s in geometry.spacing)
    return f"{size} ({spacing})"


def vars_of(entry: Any) -> dict[str, Any]:
    """The fields of a small value, for JSON."""
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}


if __name__ == "__main__":
    main()
