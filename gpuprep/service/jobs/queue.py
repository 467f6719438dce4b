"""Which job comes next: shared fairly between users, and only what fits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from gpuprep.service.jobs.job import Job
from gpuprep.service.settings import Settings


@dataclass(frozen=True, slots=True)
class Capacity:
    """What all jobs at work may have together; jobs on clusters take none of it but their number."""

    jobs: int
    workers: int
    memory: int
    devices: tuple[int, ...] = ()

    @classmethod
    def of(cls, settings: Settings) -> Capacity:
        devices = settings.limits.devices
        return cls(settings.limits.jobs, settings.workers, settings.memory, devices)

    def devices_for(self, job: Job) -> int:
        """How many CUDA devices a job has for itself: one for each worker, as far as there are."""
        return min(job.asked.workers, len(self.devices)) if job.asked.is_local else 0

    def has_room(self, job: Job, working: Sequence[Job]) -> bool:
        """Whether a job fits beside those at work. One too large for the whole machine fits alone."""
        local = [other for other in working if other.asked.is_local]
        if not job.asked.is_local or not local:
            return True
        together = [job, *local]
        return (
            sum(each.asked.workers for each in together) <= self.workers
            and sum(each.memory for each in together) <= self.memory
            and sum(map(self.devices_for, together)) <= len(self.devices)
        )


def in_order(waiting: Sequence[Job], working: Sequence[Job]) -> list[Job]:
    """The waiting jobs as they will be begun, if each that is begun works on for ever.

    The next is always of the user with the fewest workers at work; between equals, the older job. One
    user's jobs go by priority, then by age.
    """
    busy = Counter[str]()
    for job in working:
        busy[job.owner] += job.asked.workers
    of_user: defaultdict[str, list[Job]] = defaultdict(list)
    for job in sorted(waiting, key=lambda job: (job.priority, -job.seq)):
        of_user[job.owner].append(job)  # the first to begin is the last of its list
    order = []
    while of_user:
        owner = min(of_user, key=lambda owner: (busy[owner], of_user[owner][-1].seq))
        job = of_user[owner].pop()
        if not of_user[owner]:
            del of_user[owner]
        busy[owner] += job.asked.workers
        order.append(job)
    return order


def startable(waiting: Sequence[Job], working: Sequence[Job], capacity: Capacity) -> Job | None:
    """The job to begin now; None while the first that may begin does not fit.

    A job whose cohort another one is at work on is passed over; nothing else is, so that large jobs come
    to their turn.
    """
    if len(working) >= capacity.jobs:
        return None
    held = {job.asked.output for job in working}
    job = next((job for job in in_order(waiting, working) if job.asked.output not in held), None)
    return job if job is not None and capacity.has_room(job, working) else None
