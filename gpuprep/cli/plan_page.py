"""What a run would do, as a page or as JSON."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gpuprep.cli.progress import failure_line, listed
from gpuprep.cli.terminal import describe_grid, out, print_json, session
from gpuprep.planning.preview import CohortPreview
from gpuprep.preprocess.projection import Projection
from gpuprep.values.units import human_bytes

_COLUMNS = (
    *("case", "source x×y×z (mm)", "output x×y×z (mm)", "labels"),
    *("in → out (raw), peak", "findings"),
)
_WIDEST = 1000  # columns of a table that no terminal shows
_CLASSES = 4  # of a label map that are named
ROWS = 50
"""Cases, and refused ones, that are shown unless all are asked for."""


def show_plan(preview: CohortPreview, *, as_json: bool) -> int:
    """Print a plan; returns the exit code, 1 where a run would refuse cases."""
    if as_json:
        print_json(preview.to_json())
    else:
        _print(preview)
    return 1 if preview.cases_refused else 0


def _print(preview: CohortPreview) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for row in preview.projections:
        table.add_row(
            escape(row.case_id),
            describe_grid(row.source),
            _grids(row),
            escape(_labels(row)),
            f"{human_bytes(row.bytes_in)} → {human_bytes(row.bytes_out)}, {human_bytes(row.peak_bytes)}",
            "\n".join(row.findings),
        )
    page = out if out.is_terminal else Console(width=_WIDEST)  # a file has room for all of it
    page.print(table)
    _print_rest(preview.cases_to_do - len(preview.projections), "cases")
    for failure in preview.refused:
        out.print(failure_line(failure, "refused", verbose=session.verbose))
    _print_rest(preview.cases_refused - len(preview.refused), "refused cases")
    unmatched = tuple(f"{entry.path}: {entry.reason}" for entry in preview.unmatched)
    if unmatched:
        out.print("[yellow]no case[/]")
    for line in listed(unmatched):
        out.print(line)
    by = ", voxels by SimpleITK" if preview.reader == "itk" else ""
    out.print(
        f"layout {preview.layout}{by}: {preview.cases_to_do} cases to do, "
        f"{preview.cases_refused} refused, {len(preview.unmatched)} files of no case; "
        f"{human_bytes(preview.bytes_in)} in, up to {human_bytes(preview.bytes_out)} out uncompressed"
    )


def _grids(row: Projection) -> str:
    """The grid that is stored, or that of every output on a line."""
    if not row.outputs:
        return describe_grid(row.output)
    return "\n".join(f"{name}: {describe_grid(grid)}" for name, grid in row.outputs.items())


def _print_rest(number: int, what: str) -> None:
    if number:
        out.print(f"… and {number:,} more {what}; --all shows them")


def _labels(row: Projection) -> str:
    """Each label map on a line, with the declared names of its values."""
    lines = []
    for name, classes in row.labels.items():
        told = [f"{value} {meaning}" for value, meaning in classes.items()]
        more = f", … {len(told)} in all" if len(told) > _CLASSES else ""
        lines.append(": ".join(part for part in (name, ", ".join(told[:_CLASSES]) + more) if part))
    return "\n".join(lines) or "none"
