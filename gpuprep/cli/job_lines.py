"""Following a job of a service on a console: a live line on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from gpuprep.cli.job_page import coloured, job_line
from gpuprep.cli.progress import summary_line
from gpuprep.client.answers import JobEvent, Progress
from gpuprep.client.client import Client
from gpuprep.values.events import RunFinished
from gpuprep.values.units import human_bytes, human_seconds

_EVERY_CASE = 200  # up to so many cases, there is a line per case
_PLAIN_SECONDS = 10.0
_LIVE_SECONDS = 1.0


class JobLines:
    """Prints what happens to a job; use it as a context manager."""

    def __init__(self, console: Console, client: Client, job_id: str) -> None:
        self._console = console
        self._client = client
        self._job_id = job_id
        self._total = 0
        self._bytes_in = self._bytes_out = 0
        self._said = 0.0
        self._live: Status | None = None
        if console.is_terminal:
            self._live = Status("", console=console)

    def __enter__(self) -> JobLines:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def __call__(self, event: JobEvent) -> None:
        more = event.more
        if event.name == "case.done":
            self._bytes_in += int(more.get("bytes_in", 0))
            self._bytes_out += int(more.get("bytes_out", 0))
        match event.name:
            case "case.done" if self._total <= _EVERY_CASE and self._live is None:
                self._console.print(_done_line(more))
            case "case.failed":
                case, code = escape(str(more.get("case"))), escape(str(more.get("code")))
                self._console.print(f"[red]failed[/] {case}  {code}")
            case "run.started":
                self._started(more)
            case "run.finished":
                self._stop()
                self._console.print(self._finished_line(more))
            case name if name.startswith("job."):
                self._changed(name.removeprefix("job."), str(more.get("reason") or ""))
        if event.name.startswith("case."):
            self._say_progress()

    def _started(self, more: Any) -> None:
        self._total = int(more.get("cases", 0))
        self._bytes_in = self._bytes_out = 0
        workers = int(more.get("workers", 0))
        self._console.print(
            f"{self._total} case{'s' * (self._total != 1)}, {workers} worker{'s' * (workers > 1)}, "
            f"backend {escape(str(more.get('backend', '')))}"
        )
        if self._live is not None:
            self._live.start()

    def _changed(self, state: str, reason: str) -> None:
        if state in ("starting", "running") and not reason:
            return  # run.started says more
        if state == "queued":
            self._console.print(job_line(self._client.job(self._job_id)))
            return
        why = f": {escape(reason)}" if reason else ""
        self._console.print(f"{coloured(state)}{why}")

    def _say_progress(self) -> None:
        """How far it is, in the service's own numbers: those of old events would tell nothing of now."""
        every = _PLAIN_SECONDS if self._live is None else _LIVE_SECONDS
        if time.monotonic() - self._said < every:
            return
        if self._live is None and self._total <= _EVERY_CASE:
            return
        self._said = time.monotonic()
        progress = self._client.job(self._job_id).progress
        if progress is not None and self._live is not None:
            self._live.update(_progress_line(progress))
        elif progress is not None:
            self._console.print(_progress_line(progress))

    def _finished_line(self, more: Any) -> str:
        done, skipped, failed, remaining = (
            int(more.get(name, 0)) for name in ("done", "skipped", "failed", "remaining")
        )
        seconds = float(more.get("seconds", 0.0))
        return summary_line(
            RunFinished(done, skipped, failed, remaining, seconds, self._bytes_in, self._bytes_out)
        )

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()


def _progress_line(progress: Progress) -> str:
    left = progress.seconds_left
    about = f", about {human_seconds(left)} left" if left is not None else ""
    failed = f", [red]{progress.failed} failed[/]" if progress.failed else ""
    return (
        f"{progress.total - progress.remaining}/{progress.total} cases{failed}, "
        f"{progress.cases_per_second:.2f} cases/s{about}"
    )


def _done_line(more: Any) -> str:
    codes = sorted({str(code) for code in more.get("findings") or ()})
    found = f"  [yellow]{escape(' '.join(codes))}[/]" if codes else ""
    sizes = f"{human_bytes(more.get('bytes_in', 0))} → {human_bytes(more.get('bytes_out', 0))}"
    seconds = float(more.get("seconds", 0.0))
    return f"[green]done[/] {escape(str(more.get('case')))}  {sizes}  {seconds:.2f} s{found}"
