"""The commands about a whole output: status, failures, verify, prune. Parse, call, print."""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, command, err, out, print_json
from gpuprep.cli.work_bar import work_bar

if TYPE_CHECKING:  # as everything that costs time, it is imported by the command that needs it
    from gpuprep.ledger.failures import FailureGroup

_SHOWN_CASES = 5

OutputArgument = Annotated[str, typer.Argument(help="Folder or s3:// URL of a cohort.")]


app = typer.Typer()


@command(app)
def status(
    output: OutputArgument,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew every second, until the run ends.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say how the last run on OUTPUT stands, and what to do next.

    Works from any terminal, while the run goes on and after it. Exits with 0
    while it runs or when all is done, 1 when some cases failed, 3 when the
    run paused or died and must be started again.
    """
    from gpuprep.cli.status_page import status_page, watch_status
    from gpuprep.ledger.state import read_state
    from gpuprep.store.places import to_place
    from gpuprep.store.standing import doubts, read_standing

    state = watch_status(output, out) if watch and not as_json else read_state(output)
    standing = read_standing(to_place(output))
    if as_json:
        print_json({**state.to_json(), **standing.to_json(), "exit_code": state.exit_code})
        raise typer.Exit(state.exit_code)
    if not watch:
        out.print(status_page(output, state))
    for text in doubts(standing, output):
        out.print(f"[yellow]note[/] {escape(text)}")
    raise typer.Exit(state.exit_code)


@command(app)
def failures(
    output: OutputArgument,
    code: Annotated[str | None, typer.Option(help="Only failures with this code.")] = None,
    ids: Annotated[
        bool, typer.Option("--ids", help="Print case ids only, one a line, for --only-from.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List what failed, grouped by reason, with the command that retries just those cases.

    Exits with 1 when there are failures, 0 when there are none.
    """
    from gpuprep.ledger.failures import group_failures

    groups = [group for group in group_failures(output) if code in (None, group.code)]
    if as_json:
        count = sum(len(group.cases) for group in groups)
        print_json({"schema": 1, "failed": count, "groups": [group.to_json() for group in groups]})
    elif ids:
        sys.stdout.writelines(f"{case}\n" for group in groups for case in group.cases)
        return
    else:
        for group in groups:
            _print_group(group)
        if not groups:
            out.print("nothing failed")
    raise typer.Exit(1 if groups else 0)


def _print_group(group: FailureGroup) -> None:
    cases = f"{len(group.cases)} case{'s' * (len(group.cases) > 1)}"
    shown = ", ".join(group.cases[:_SHOWN_CASES])
    more = f", … and {len(group.cases) - _SHOWN_CASES} more"
    lines = [
        f"[red]{escape(group.code)}[/] ({group.kind})  {cases}: "
        f"{escape(shown)}{more if len(group.cases) > _SHOWN_CASES else ''}",
        f"     for example: {escape(group.example)}",
        f"     file: {escape(group.path)}" if group.path else "",
        f"     try: {escape(group.advice)}" if group.advice else "",
        f"     then: {escape(group.retry)}",
    ]
    out.print("\n".join(line for line in lines if line))


@command(app)
def verify(
    output: OutputArgument,
    full: Annotated[bool, typer.Option("--full", help="Check every checksum.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check every case against its record: sizes, and with --full every checksum."""
    from gpuprep.store.places import case_ids, to_place
    from gpuprep.store.reader import Cohort
    from gpuprep.store.standing import doubts
    from gpuprep.store.verify import verify_cohort

    standing = Cohort(output).standing  # says so when there is no cohort
    cases: list[str] = []
    with work_bar("verify") as tick:

        def checked(case: str, _: object) -> None:
            cases.append(case)
            tick(total)

        total = len(case_ids(to_place(output))) if err.is_terminal else 0
        problems = verify_cohort(output, full=full, on_case=checked)
    if as_json:
        rows = [entry.to_json() for entry in problems]
        print_json({"cases": len(cases), "problems": rows, **standing.to_json()})
    else:
        for problem in problems:
            color = "red" if problem.kind == "damaged" else "yellow"
            out.print(f"[{color}]{problem.kind}[/] {escape(str(problem))}")
        for text in doubts(standing, output):
            out.print(f"[yellow]note[/] {escape(text)}")
        depth = "every checksum" if full else "sizes"
        stale = sum(problem.kind == "not current" for problem in problems)
        rest = f", {stale} of them not current: run again" if stale else ""
        out.print(f"{len(cases)} cases checked ({depth}): {len(problems)} problems{rest}")
    raise typer.Exit(1 if problems else 0)


@command(app)
def prune(
    output: OutputArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only told.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Move cases that no input lists any more from cases/ to pruned/.

    Without --yes it says which, and does nothing. Nothing is deleted.
    """
    from gpuprep.ledger import prune as pruning

    found = pruning.prune(output) if yes else pruning.withdrawn_cases(output)
    if as_json:
        print_json({**found.to_json(), "dry_run": not yes})
        return
    for case, place in itertools.zip_longest(found.cases, found.places):
        out.print(f"{'moved' if yes else 'to move'} {escape(case)}{escape(f' to {place}' * yes)}")
    number = f"{len(found.cases)} case{'s' * (len(found.cases) != 1)}"
    if yes or not found.cases:
        out.print(f"{number} moved" if yes else "no case has left the input: nothing to do")
    else:
        out.print(f"{number} to move; nothing was done: add --yes to do it")
