"""The commands that make a cohort: run and plan. Parse, call, print; the work is done elsewhere."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import (
    ConfigOption,
    JsonOption,
    SetOption,
    command,
    err,
    one_of,
    out,
    print_json,
    session,
)
from gpuprep.cli.work_bar import work_bar
from gpuprep.config.file import load_config
from gpuprep.values.errors import UsageError
from gpuprep.values.events import Listener

app = typer.Typer()

LimitOption = Annotated[
    int | None, typer.Option(help="Only the first N cases, of those that are chosen.", min=1)
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only this case, or a pattern such as 'liver_*'; repeatable."),
]
OnlyFromOption = Annotated[
    Path | None,
    typer.Option(help="Only the cases listed in this file, one a line; - is standard input."),
]
AllOption = Annotated[
    bool, typer.Option("--all", help="Show every case of the plan, however many there are.")
]


@command(app)
def run(
    input: Annotated[Path, typer.Argument(help="Folder, manifest, dataset.json or file.")],
    output: Annotated[str, typer.Argument(help="Folder or s3:// URL of the cohort to make.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    backend: Annotated[str, typer.Option(help="auto, numpy or cupy.")] = "auto",
    workers: Annotated[int | None, typer.Option(help="Worker processes.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="local, serial, tls://host:port or a scheduler file (.json).")
    ] = None,
    limit: LimitOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, write nothing.")
    ] = False,
    every: AllOption = False,
    as_json: JsonOption = False,
    no_progress: Annotated[
        bool, typer.Option("--no-progress", help="Plain lines, no live bar.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make every case anew.")] = False,
    only: OnlyOption = None,
    only_from: OnlyFromOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only the cases that failed the last time.")
    ] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(
            help="Keep Prometheus' text file here, for node_exporter's textfile collector."
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            help="Answer http://127.0.0.1:PORT/metrics; 0 takes a free one.", min=0, max=65535
        ),
    ] = None,
) -> None:
    """Preprocess every case of INPUT into the cohort at OUTPUT; done cases are skipped."""
    from gpuprep.cli.plan_page import ROWS, show_plan
    from gpuprep.cli.progress import ProgressView
    from gpuprep.planning.preview import preview_cohort
    from gpuprep.running.coordinator import run as run_cohort

    parsed = load_config(config, overrides or ())
    chosen = _chosen(only, only_from)
    if dry_run:
        from gpuprep.ledger.failures import failed_cases
        from gpuprep.store.agreement import read_agreement
        from gpuprep.store.layout import HEADERS_FILE
        from gpuprep.store.places import holds_cases, is_url, to_place

        failed = failed_cases(output) if retry_failed else None
        counts = not overwrite and holds_cases(to_place(output))
        present = read_agreement(to_place(output)) if counts else None
        with work_bar("plan") as tick:
            preview = preview_cohort(
                input,
                parsed,
                limit,
                only=chosen,
                failed=failed,
                present=present,
                headers=None if is_url(output) else Path(output) / HEADERS_FILE,
                keep_headers=False,
                most=None if every or as_json else ROWS,
                on_case=tick,
            )
        raise typer.Exit(show_plan(preview, as_json=as_json))
    console = err if as_json else out
    with (
        ProgressView(console, live=not no_progress, verbose=session.verbose) as view,
        _published(metrics, metrics_port) as counters,
    ):
        report = run_cohort(
            input,
            output,
            config=parsed,
            backend=one_of("backend", backend, ("auto", "numpy", "cupy")),
            workers=workers,
            scheduler=scheduler,
            limit=limit,
            overwrite=overwrite,
            only=chosen,
            retry_failed=retry_failed,
            listeners=[view, *counters],
            command=shlex.join(["gpuprep", *sys.argv[1:]]),
        )
    if as_json:
        print_json(report.to_json())
    elif report.failures:
        again = f"gpuprep failures {shlex.quote(output)}"
        out.print(f"reasons, and how to retry: {escape(again)}")
    raise typer.Exit(report.exit_code)


@command(app)
def plan(
    input: Annotated[Path, typer.Argument(help="Folder, manifest, dataset.json or file.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    limit: LimitOption = None,
    only: OnlyOption = None,
    only_from: OnlyFromOption = None,
    every: AllOption = False,
    headers_to: Annotated[
        Path | None,
        typer.Option(help="Keep what DICOM headers tell in this output, for its run."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would do: cases, grids, labels, findings, refusals.

    Nothing is written, but for the headers where --headers-to asks for it.
    """
    from gpuprep.cli.plan_page import ROWS, show_plan
    from gpuprep.planning.preview import preview_cohort
    from gpuprep.store.layout import HEADERS_FILE

    parsed = load_config(config, overrides or ())
    with work_bar("plan") as tick:
        preview = preview_cohort(
            input,
            parsed,
            limit,
            only=_chosen(only, only_from),
            headers=headers_to and headers_to / HEADERS_FILE,
            most=None if every or as_json else ROWS,
            on_case=tick,
        )
    raise typer.Exit(show_plan(preview, as_json=as_json))


@contextmanager
def _published(path: Path | None, port: int | None) -> Iterator[list[Listener]]:
    """The listeners of --metrics and --metrics-port."""
    from gpuprep.ledger.metrics import Metrics, MetricsFile, served

    counters = Metrics()
    listeners: list[Listener] = [counters] if path or port is not None else []
    if path is not None:
        listeners.append(MetricsFile(counters, path))
    if port is None:
        yield listeners
        return
    with served(counters, port) as own_port:
        err.print(f"metrics: http://127.0.0.1:{own_port}/metrics")
        yield listeners


def _chosen(only: list[str] | None, listing: Path | None) -> list[str]:
    """The ids and patterns of --only and --only-from together."""
    if listing is None:
        return only or []
    try:
        content = sys.stdin.buffer.read() if str(listing) == "-" else listing.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--only-from {listing} cannot be read: {error}") from None
    listed = [line.strip() for line in text.splitlines() if line.strip()]
    if not listed:
        raise UsageError(f"--only-from {listing} lists no case", advice="write one case id a line")
    return [*(only or []), *listed]
