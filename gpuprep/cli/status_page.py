"""How a run stands, on one screen, once or for as long as it goes on."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from gpuprep.ledger.run_state import RunState
from gpuprep.ledger.state import read_state
from gpuprep.store.places import Place
from gpuprep.values.units import human_bytes, human_seconds

_REFRESH_SECONDS = 1.0
_PLAIN_SECONDS = 10.0  # between lines where there is no terminal to redraw
_SHOWN_RUNNING = 8
_BAR_CELLS = 40
_COLOURS = {"running": "cyan", "finished": "green", "paused": "yellow", "died": "red"}


def status_page(output: str | Place, state: RunState) -> Text:
    """The state of a run for a person: counts, speed, cases in hand, and what to do."""
    lines = [f"[bold]{name:<10}[/] {value}" for name, value in _rows(output, state)]
    return Text.from_markup("\n".join(lines))


def _rows(output: str | Place, state: RunState) -> list[tuple[str, str]]:
    colour = _COLOURS[state.state]
    why = f": {escape(state.reason)}" if state.reason else _waiting(state)
    rows = [
        (escape(str(output)), f"[{colour}]{state.state}[/]{why}"),
        ("progress", _bar(state)),
        *_measuring(state),
        ("cases", _counts(state)),
        ("time", _times(state)),
        ("speed", f"{state.rate:.2f} cases/s; {_bytes(state)}"),
        ("process", f"{state.pid} on {escape(state.host)}, {state.workers} × {state.backend}"),
    ]
    now = time.time()
    working = () if state.waiting else state.running
    for case, since in working[:_SHOWN_RUNNING]:
        rows.append(("in hand", f"{escape(case)}  {human_seconds(now - since)}"))
    if len(working) > _SHOWN_RUNNING:
        rows.append(("", f"… and {len(working) - _SHOWN_RUNNING} more"))
    return [*rows, *_what_to_do(output, state)]


def _waiting(state: RunState) -> str:
    """What a run without any worker waits for."""
    return f", waiting for {escape(state.waiting)}" if state.waiting else ""


def _measuring(state: RunState) -> list[tuple[str, str]]:
    """How far the pass over the cohort is, while it goes on."""
    if not state.measuring:
        return []
    return [("measuring", f"{state.measured} of {state.to_measure} cases for the statistics")]


def _bar(state: RunState) -> str:
    share = 1 - state.remaining / state.total if state.total else 0.0
    filled = int(share * _BAR_CELLS)
    return f"{'━' * filled}[dim]{'─' * (_BAR_CELLS - filled)}[/] {int(100 * share)} %"


def _counts(state: RunState) -> str:
    failed = f"[red]{state.failed} failed[/]" if state.failed else "0 failed"
    return (
        f"{state.total}: {state.done} done, {state.skipped} already done, {failed}, "
        f"{state.remaining} to do"
    )


def _times(state: RunState) -> str:
    left = f"; about {human_seconds(state.eta)} left" if state.eta is not None else ""
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(state.started))
    return f"{human_seconds(state.seconds)} since {began}{left}"


def _bytes(state: RunState) -> str:
    per_second = human_bytes(state.bytes_in / state.seconds) if state.seconds else "0 B"
    return (
        f"{human_bytes(state.bytes_in)} read ({per_second}/s), "
        f"{human_bytes(state.bytes_out)} written"
    )


def _what_to_do(output: str | Place, state: RunState) -> list[tuple[str, str]]:
    rows = []
    if state.state in ("paused", "died"):
        command = state.command or "the same command again; done cases are skipped"
        rows.append(("go on with", escape(command)))
        if state.folder and state.folder != str(Path.cwd()):
            rows.append(("in", escape(state.folder)))
    if state.failed:
        rows.append(("reasons", escape(f"gpuprep failures {output}")))
    return rows


def status_line(state: RunState) -> str:
    """The state in one plain line."""
    left = f", about {human_seconds(state.eta)} left" if state.eta is not None else ""
    first = "".join(f", measuring {text}" for _, text in _measuring(state))
    return (
        f"{state.state}{_waiting(state)}{first}: {_counts(state)}, {state.rate:.2f} cases/s{left}"
    )


def watch_status(output: str | Place, console: Console) -> RunState:
    """Show the state until the run ends; returns the last one. Ctrl-C leaves the run alone.

    Raises:
        StoreError: there is no state to show.
    """
    state = read_state(output)
    if not console.is_terminal:
        return _watch_lines(output, console, state)
    with Live(status_page(output, state), console=console, auto_refresh=False) as live:
        while state.state == "running":
            time.sleep(_REFRESH_SECONDS)
            state = read_state(output)
            live.update(status_page(output, state), refresh=True)
    return state


def _watch_lines(output: str | Place, console: Console, state: RunState) -> RunState:
    said = 0.0
    while state.state == "running":
        if time.monotonic() - said >= _PLAIN_SECONDS:
            said = time.monotonic()
            console.print(status_line(state))
        time.sleep(_REFRESH_SECONDS)
        state = read_state(output)
    console.print(status_page(output, state))
    return state
