"""Jobs of a service for a person: a page of one, a row of each of many, what failed, what a plan says."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.markup import escape
from rich.text import Text

from gpuprep.client.answers import FailureGroup, Job, JobPlan, Progress
from gpuprep.values.units import human_bytes, human_seconds

_BAR_CELLS = 40
_SHOWN_CASES = 5
_SHOWN_REFUSALS = 10
_COLOURS = {
    "running": "cyan",
    "succeeded": "green",
    "succeeded_with_failures": "yellow",
    "paused": "yellow",
    "failed": "red",
    "cancelled": "yellow",
}


def coloured(state: str) -> str:
    colour = _COLOURS.get(state, "blue")
    return f"[{colour}]{escape(state)}[/]"


def job_page(job: Job, failed: Sequence[FailureGroup], now: float) -> Text:
    """How a job stands: counts, speed, times, what failed and what to do."""
    lines = [f"[bold]{name:<10}[/] {value}" for name, value in _rows(job, now)]
    return Text.from_markup("\n".join([*lines, *failure_lines(failed), *_what_to_do(job)]))


def _rows(job: Job, now: float) -> list[tuple[str, str]]:
    why = f": {escape(job.reason)}" if job.reason else ""
    rows = [(job.id, f"{coloured(job.state)}{why}{_place(job)}")]
    if job.progress:
        rows += progress_rows(job.progress)
    rows += [
        ("cohort", f"{escape(job.output)}, of {escape(job.root)}:{escape(job.path)}"),
        ("time", _times(job, now)),
        ("owner", f"{escape(job.owner)}, priority {job.priority}"),
        ("work", f"{job.workers} × {escape(job.executor)}{_again(job)}"),
    ]
    return rows


def progress_rows(progress: Progress) -> list[tuple[str, str]]:
    """What a run has done, as ``gpuprep status`` shows it."""
    share = 1 - progress.remaining / progress.total if progress.total else 0.0
    filled = int(share * _BAR_CELLS)
    bar = f"{'━' * filled}[dim]{'─' * (_BAR_CELLS - filled)}[/] {int(100 * share)} %"
    left = progress.seconds_left
    about = f"; about {human_seconds(left)} left" if left is not None else ""
    moved = f"{human_bytes(progress.bytes_in)} read, {human_bytes(progress.bytes_out)} written"
    rows = [("progress", bar), ("cases", _counts(progress))]
    if progress.measured < progress.to_measure and not progress.done + progress.failed:
        measured = f"{progress.measured} of {progress.to_measure} cases for the statistics"
        rows.append(("measuring", measured))
    if progress.waiting:
        rows.append(("waits for", escape(progress.waiting)))
    return [*rows, ("speed", f"{progress.cases_per_second:.2f} cases/s{about}; {moved}")]


def _counts(progress: Progress) -> str:
    failed = f"[red]{progress.failed} failed[/]" if progress.failed else "0 failed"
    return (
        f"{progress.total}: {progress.done} done, {progress.skipped} already done, {failed}, "
        f"{progress.remaining} to do"
    )


def _place(job: Job) -> str:
    if job.queue is None:
        return ""
    about = f", begins in about {human_seconds(job.queue.seconds)}" if job.queue.seconds else ""
    return f", number {job.queue.position} in the queue{about}"


def _times(job: Job, now: float) -> str:
    came = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(job.created))
    if not job.started:
        return f"waits for {human_seconds(now - job.created)} since {came}"
    ran = human_seconds((job.ended or now) - job.started)
    return f"ran {ran}, submitted {came}" if job.ended else f"runs for {ran}, submitted {came}"


def _again(job: Job) -> str:
    begun = f", begun again {job.restarts} times" if job.restarts else ""
    return begun + (f", retries {job.retry_of}" if job.retry_of else "")


def _what_to_do(job: Job) -> list[str]:
    if job.state == "succeeded_with_failures":
        return [f"[bold]{'retry with':<10}[/] gpuprep jobs retry {job.id}"]
    if job.state in ("paused", "failed", "cancelled"):
        return [f"[bold]{'go on with':<10}[/] gpuprep jobs resume {job.id}"]
    return []


def job_line(job: Job) -> str:
    """A job in one line."""
    why = f": {escape(job.reason)}" if job.reason else ""
    return f"job {job.id} {coloured(job.state)}{why}{_place(job)}"


def job_rows(jobs: Sequence[Job], now: float) -> list[str]:
    """A line for each of many jobs, in columns."""
    if not jobs:
        return ["no job"]
    cells = [
        (
            job.id,
            job.state,
            job.owner,
            job.output,
            _share(job),
            f"{human_seconds(now - job.created)} ago",
        )
        for job in jobs
    ]
    widths = [max(len(row[k]) for row in cells) for k in range(6)]
    lines = []
    for row in cells:
        padded = [escape(f"{text:<{width}}") for text, width in zip(row, widths, strict=True)]
        colour = _COLOURS.get(row[1], "blue")
        padded[1] = f"[{colour}]{padded[1]}[/]"
        lines.append("  ".join(padded).rstrip())
    return lines


def _share(job: Job) -> str:
    if job.queue is not None:
        return f"number {job.queue.position}"
    if job.progress is None:
        return f"{job.cases} cases"
    progress = job.progress
    failed = f", {progress.failed} failed" if progress.failed else ""
    return f"{progress.total - progress.remaining}/{progress.total}{failed}"


def failure_lines(groups: Sequence[FailureGroup]) -> list[str]:
    """What failed, by reason, as ``gpuprep failures`` shows it."""
    lines = []
    for group in groups:
        shown = ", ".join(group.cases[:_SHOWN_CASES])
        if len(group.cases) > _SHOWN_CASES:
            shown += f", … and {len(group.cases) - _SHOWN_CASES} more"
        number = f"{len(group.cases)} case{'s' * (len(group.cases) > 1)}"
        lines.append(f"[red]{escape(group.code)}[/] ({group.kind})  {number}: {escape(shown)}")
        lines.append(f"     for example: {escape(group.example)}")
        if group.advice:
            lines.append(f"     try: {escape(group.advice)}")
    return lines


def plan_lines(plan: JobPlan) -> list[str]:
    """What a job would do."""
    lines = [
        f"[red]refused[/] {escape(each.get('case', ''))}  {escape(each.get('code', ''))}: "
        f"{escape(each.get('message', ''))}"
        + (f"\n     try: {escape(each['advice'])}" if each.get("advice") else "")
        for each in plan.refusals[:_SHOWN_REFUSALS]
    ]
    more = plan.refused - len(lines)
    lines += [f"     … and {more} more"] if more > 0 else []
    peak = human_bytes(plan.peak_bytes)
    return [
        *lines,
        f"{plan.cases} cases ({plan.layout}), {plan.looked_at} looked at, {plan.refused} refused",
        f"{human_bytes(plan.bytes_in)} in, about {human_bytes(plan.bytes_out)} out, "
        f"{peak} of memory for the largest case",
    ]
