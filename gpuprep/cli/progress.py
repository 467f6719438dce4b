"""Showing a run to a person: a live bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from gpuprep.ledger.report import Breakdown, break_down
from gpuprep.values.events import (
    CaseChanged,
    CaseDone,
    CaseFailed,
    CaseMeasured,
    CaseStarted,
    CaseTaken,
    CohortPass,
    Event,
    Notice,
    RunFinished,
    RunStarted,
)
from gpuprep.values.units import human_bytes, human_seconds

_EVERY_CASE = 200  # up to so many cases, plain output has a line per case
_PLAIN_SECONDS = 10.0
_SHOWN_PATHS = 5


class ProgressView:
    """A listener that prints to a console; use it as a context manager around the run."""

    def __init__(self, console: Console, *, live: bool, verbose: bool = False) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._live = live and console.is_terminal
        self._verbose = verbose
        self._total = 0
        self._seen = 0  # done, failed and skipped
        self._worked = 0  # of these, done and failed
        self._measured = self._to_measure = 0
        self._bytes = 0
        self._started = time.monotonic()
        self._began = 0.0  # when the first case was handed out
        self._said = 0.0

    def __enter__(self) -> ProgressView:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: Event) -> None:
        match event:
            case CaseStarted() | CaseDone() | CaseFailed() | CohortPass() | CaseMeasured():
                self._count(event)
            case CaseChanged() if self._verbose:
                text = f"{event.case_id}: {event.change}"
                self._console.print(f"[yellow]changed[/] {escape(text)}")
            case CaseTaken() if self._verbose:
                text = f"{event.case_id}: {event.reason}"
                self._console.print(f"[yellow]again[/] {escape(text)}")
            case RunStarted():
                self._start(event)
            case Notice():
                self._console.print(f"[yellow]note[/] {escape(event.message)}")
                for line in listed(event.paths, event.more):
                    self._console.print(line)
            case RunFinished():
                self._finish(event)

    def _count(self, event: Event) -> None:
        """Go on with what can be counted."""
        match event:
            case CaseStarted():
                self._began = self._began or time.monotonic()
            case CaseDone():
                self._advance(event.bytes_in, worked=not event.skipped)
                if not event.skipped and not self._live and self._total <= _EVERY_CASE:
                    self._console.print(self._done_line(event))
            case CaseFailed():
                self._advance(0, worked=True)
                self._console.print(failure_line(event, "failed", verbose=self._verbose))
            case CohortPass():
                self._measured, self._to_measure = event.known, event.cases
            case CaseMeasured():
                self._measured += 1
                self._say_measured()

    def _finish(self, event: RunFinished) -> None:
        if self._bar is not None:
            self._bar.stop()
        for reason, cases in event.fallbacks.items():
            text = f"NumPy did (parts of) {cases} case{'s' * (cases > 1)}: {reason}"
            self._console.print(f"[yellow]note[/] {escape(text)}")
        for line in breakdown_lines(break_down(event)):
            self._console.print(line)
        self._console.print(summary_line(event))

    def _start(self, event: RunStarted) -> None:
        self._total = event.cases
        self._started = time.monotonic()
        workers = f"{event.workers} worker{'s' if event.workers > 1 else ''}"
        self._console.print(
            f"{event.cases} case{'s' if event.cases != 1 else ''}, {workers}, backend {event.backend}"
        )
        if event.note:
            self._console.print(f"[yellow]note[/] {escape(event.note)}")
        if self._live:
            self._bar = Progress(
                TextColumn("[bold]cases"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
            )
            self._task = self._bar.add_task("cases", total=event.cases, rate="", left="")
            self._bar.start()

    def _advance(self, bytes_in: int, *, worked: bool) -> None:
        """Count a case; what was done before tells nothing of how long the others take."""
        self._seen += 1
        self._worked += worked
        self._bytes += bytes_in
        now = time.monotonic()
        seconds = max(now - (self._began or self._started), 1e-6)
        speed = self._worked / seconds
        rate = f"{speed:.2f} cases/s, {human_bytes(self._bytes / seconds)}/s in"
        left = human_seconds((self._total - self._seen) / speed) if speed else ""
        if self._bar is not None and self._task is not None:
            about = f"about {left} left" if left else ""
            self._bar.update(self._task, advance=1, rate=rate, left=about)
        elif self._total > _EVERY_CASE and self._is_due():
            about = f"{rate}, about {left} left" if left else "looking for those to do"
            self._console.print(f"{self._seen}/{self._total} cases, {about}")

    def _say_measured(self) -> None:
        text = f"measuring {self._measured}/{self._to_measure}"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, rate=text)
        elif self._to_measure > _EVERY_CASE and self._is_due():
            self._console.print(f"{text} cases for the cohort's statistics")

    def _is_due(self) -> bool:
        """Whether it is time for another plain line."""
        due = time.monotonic() - self._said > _PLAIN_SECONDS
        if due:
            self._said = time.monotonic()
        return due

    def _done_line(self, event: CaseDone) -> str:
        found = f"  [yellow]{' '.join(sorted(set(event.findings)))}[/]" if event.findings else ""
        sizes = f"{human_bytes(event.bytes_in)} → {human_bytes(event.bytes_out)}"
        return f"[green]done[/] {escape(event.case_id)}  {sizes}  {event.seconds:.2f} s{found}"


def listed(paths: Sequence[str], more: int = 0) -> list[str]:
    """The first of many paths, a line each, and how many there are beside these, ``more`` among them."""
    lines = [f"     {escape(path)}" for path in paths[:_SHOWN_PATHS]]
    more += max(0, len(paths) - _SHOWN_PATHS)
    return [*lines, f"     … and {more} more"] if more else lines


def failure_line(event: CaseFailed, word: str, *, verbose: bool) -> str:
    """A case that failed, or will: the code, what is wrong, with which file, and what to do."""
    where = f"\n     file: {escape(event.path)}" if event.path else ""
    advice = f"\n     try: {escape(event.advice)}" if event.advice else ""
    details = f"\n{escape(event.details)}" if verbose and event.details else ""
    return (
        f"[red]{word}[/] {escape(event.case_id)}  {event.code}: {escape(event.message)}"
        f"{where}{advice}{details}"
    )


def summary_line(event: RunFinished) -> str:
    """One line: what was done, how fast, and what is left."""
    parts = [f"{event.done} done"]
    if event.skipped:
        parts.append(f"{event.skipped} already done")
    if event.failed:
        parts.append(f"[red]{event.failed} failed[/]")
    if event.remaining:
        parts.append(f"{event.remaining} not yet done")
    line = f"{', '.join(parts)} in {event.seconds:.1f} s"
    if event.done:
        line += f"; {human_bytes(event.bytes_in)} read, {human_bytes(event.bytes_out)} written"
    return line + (f"; [red]stopped: {escape(event.stopped)}[/]" if event.stopped else "")


def breakdown_lines(breakdown: Breakdown) -> list[str]:
    """A line per stage, then what limits and which cases were slowest; none where nothing was done."""
    if breakdown.limit is None:
        return []
    lines = []
    for stage in breakdown.stages:
        speed = stage.bytes_per_second
        moved = f"  {human_bytes(speed)}/s" if speed is not None else ""
        lines.append(f"stage {stage.name:<10} {stage.seconds:9.2f} s {stage.share:5.0%}{moved}")
    slowest = ", ".join(f"{escape(case)} {seconds:.1f} s" for case, seconds in breakdown.slowest)
    return [
        *lines,
        f"mostly {breakdown.limit} ({breakdown.limit_share:.0%} of the workers' time), "
        f"{breakdown.cases_per_second:.2f} cases/s; slowest: {slowest}",
    ]
