"""What ``gpuprep nnunet fingerprint`` says: what was counted, what is wrong, what has moved."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuprep.cli.terminal import err, out
from gpuprep.nnunet.drift import Moved
from gpuprep.nnunet.fingerprint import FingerprintStep


def show_fingerprint(step: FingerprintStep, *, quiet: bool = False) -> None:
    """Problems and notes go to stderr, and the rest, unless it is to be ``quiet``, to stdout."""
    name = step.file.parent.name
    for problem in step.problems:
        err.print(f"[red]problem[/] {escape(f'{name}: {problem}')}")
    for note in step.notes:
        err.print(f"[yellow]note[/] {escape(f'{name}: {note}')}")
    if quiet:
        return
    cases = len(step.fingerprint.shapes)
    how = "kept" if step.kept else "made"
    out.print(f"{escape(str(step.file))}: {how}, of {cases} case{'s' * (cases != 1)}")
    if not step.drift:
        return
    out.print("the raw data would give another one now; --clean makes it:")
    out.print(_table(step.drift))
    for planner, rows in step.plan_drift.items():
        if rows:
            out.print(f"and {escape(planner)} would plan otherwise:")
            out.print(_table(rows))
        else:
            out.print(f"{escape(planner)} would plan the same")


def _table(rows: Sequence[Moved]) -> Table:
    table = Table("", "kept", "now", box=None)
    for row in rows:
        table.add_row(Text(row.what), Text(row.old), Text(row.new))
    return table
