"""How long waiting jobs will wait, about: turn by turn, at the pace of the last jobs that succeeded."""

from __future__ import annotations

from collections.abc import Sequence

from gpuprep.service.jobs.job import Job
from gpuprep.service.jobs.queue import Capacity, in_order, startable

_MOST = 100  # jobs that are looked at; who stands further behind is told no time


def seconds_per_case(ended: Sequence[Job]) -> float | None:
    """The pace of jobs that are over; None where none of them tells. Clocks that jumped count for nothing."""
    told = [job for job in ended if job.cases and 0 < job.started < job.ended]
    cases = sum(job.cases for job in told)
    return sum(job.ended - job.started for job in told) / cases if cases else None


def waits(
    waiting: Sequence[Job],
    working: Sequence[Job],
    capacity: Capacity,
    pace: float,
    now: float,
) -> dict[str, float]:
    """In how many seconds waiting jobs will begin, by their ids, if all go at a pace of seconds per case."""
    queue, busy = in_order(waiting, working)[:_MOST], list(working)
    ends = {job.id: max(0.0, job.cases * pace - max(0.0, now - job.started)) for job in busy}
    clock, found = 0.0, dict[str, float]()
    while queue:
        job = startable(queue, busy, capacity)
        if job is not None:
            queue.remove(job)
            busy.append(job)
            found[job.id], ends[job.id] = clock, clock + job.cases * pace
        elif busy:
            first = min(busy, key=lambda job: ends[job.id])
            busy.remove(first)
            clock = max(clock, ends[first.id])
        else:
            break
    return found
