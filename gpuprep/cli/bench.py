"""The bench command. Parse, call, print; the work is done elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gpuprep.cli.terminal import (
    ConfigOption,
    JsonOption,
    SetOption,
    command,
    err,
    one_of,
    out,
    print_json,
)
from gpuprep.config.file import load_config
from gpuprep.values.errors import UsageError

app = typer.Typer()


@command(app)
def bench(
    input: Annotated[
        Path | None, typer.Argument(help="A cohort to measure; without it, one is generated.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    workers: Annotated[str, typer.Option(help="Worker counts to measure, as 1,2,4.")] = "1,2",
    backend: Annotated[str, typer.Option(help="auto, numpy or cupy.")] = "auto",
    cases: Annotated[int, typer.Option(help="Generated cases; of INPUT, the first N.", min=1)] = 8,
    size: Annotated[str, typer.Option(help="Generated voxels, x,y,z.")] = "128,128,64",
    trace: Annotated[
        Path | None, typer.Option(help="Write a Chrome trace of all stages here, for Perfetto.")
    ] = None,
    into: Annotated[
        Path, typer.Option(help="Folder on the disk to measure; a new folder is made in it.")
    ] = Path(),
    keep: Annotated[bool, typer.Option("--keep", help="Keep the cohorts that were made.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure whole runs: cases/s, MB/s, seconds per stage, memory, for several worker counts.

    The rate at work, also as a multiple of the first row's, leaves out the
    time in which the workers start and end. What is made is deleted at the
    end. Exits with 1 when cases failed: the numbers are then not those of
    the whole cohort.
    """
    from gpuprep.cli.throughput import bench_folder, measure_runs, save_trace, write_cohort

    parsed = load_config(config, overrides or ())
    counts = _numbers("workers", workers)
    chosen = one_of("backend", backend, ("auto", "numpy", "cupy"))
    with bench_folder(into, keep=keep) as folder:
        source = input or folder / "input"
        if input is None:
            x, y, z = _numbers("size", size, 3)
            write_cohort(source, cases=cases, shape=(z, y, x))
        rounds = measure_runs(source, folder, parsed, workers=counts, backend=chosen, limit=cases)
        runs = []
        for measured in rounds:
            runs.append(measured)
            err.print(f"measured: {_workers(measured.workers)}")
        if keep:
            err.print(f"kept: {folder}")
    if trace is not None:
        save_trace(runs, trace)
    if as_json:
        print_json({"schema": 1, "runs": [measured.to_json() for measured in runs]})
    else:
        _print_runs(runs)
    raise typer.Exit(1 if any(measured.report.failures for measured in runs) else 0)


def _numbers(option: str, text: str, count: int | None = None) -> list[int]:
    """Positive whole numbers between commas."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--{option} {text!r} is not a list of positive whole numbers, as 1,2")
    if count is not None and len(parts) != count:
        raise UsageError(f"--{option} {text!r} has {len(parts)} numbers, {count} are needed")
    return [int(part) for part in parts]


def _workers(count: int) -> str:
    return f"{count} worker{'s' * (count > 1)}"


def _print_runs(runs: list[Any]) -> None:
    from gpuprep.values.units import human_bytes

    columns = ("workers", "cases", "time", "cases/s", "at work", "MB/s in, out", "peak", "mostly")
    speeds = Table(*columns)
    first = runs[0].working_rate
    for measured in runs:
        finished, found = measured.report.finished, measured.breakdown
        speeds.add_row(
            str(measured.workers),
            str(finished.done),
            f"{finished.seconds:.2f} s",
            f"{found.cases_per_second:.2f}",
            f"{measured.working_rate:.2f}"
            + (f" {measured.working_rate / first:.2f}×" if first else ""),
            f"{finished.bytes_in / finished.seconds / 1e6:.1f}, "
            f"{finished.bytes_out / finished.seconds / 1e6:.1f}",
            human_bytes(measured.peak_bytes),
            str(found.limit),
        )
    out.print(speeds)
    stages = Table("stage", *(_workers(measured.workers) for measured in runs))
    names = [stage.name for stage in runs[0].breakdown.stages]
    seconds = [measured.report.finished.stage_seconds for measured in runs]
    for name in names:
        stages.add_row(name, *(f"{of_run.get(name, 0.0):.2f} s" for of_run in seconds))
    out.print(stages)
