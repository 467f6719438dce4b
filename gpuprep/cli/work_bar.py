"""How far a long command is, on a terminal: a bar on standard error, and nothing in a pipe or a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from gpuprep.cli.terminal import err

Tick = Callable[[int], None]


@contextmanager
def work_bar(what: str) -> Iterator[Tick]:
    """A bar for the length of a block; gives what is called after each case with the number of all cases.

    Until the first call it shows that the command works, and for how long. It may be called from any thread,
    and goes away at the end.
    """
    if not err.is_terminal:
        yield lambda _: None
        return
    columns = [TextColumn(f"[bold]{what}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(
        *columns, TextColumn("left"), TimeRemainingColumn(), console=err, transient=True
    ) as bar:
        task = bar.add_task(what, total=None)

        def tick(cases: int) -> None:
            bar.update(task, total=cases, advance=1)

        yield tick
