"""Looks at the machine every few seconds, and puts together what is told of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from gpuprep.host.resources import available_cores, available_memory, total_memory
from gpuprep.service.door.tokens import Principal
from gpuprep.service.jobs.dispatcher import Dispatcher
from gpuprep.service.jobs.job import Job
from gpuprep.service.machine.bodies import (
    AtWork,
    Disk,
    GpuView,
    MachineView,
    Memory,
    Share,
    SlotView,
)
from gpuprep.service.machine.history import EVERY_SECONDS, Ring, Sample
from gpuprep.service.machine.readings import Processors, Slow, load
from gpuprep.service.tally import Tally

Slots = Callable[[], Mapping[str, Mapping[str, int]]]


class Machine:
    """What the machine of a service does; nothing of it waits for a disk or a driver."""

    def __init__(
        self, folder: Path | None, dispatcher: Dispatcher, tally: Tally, slots: Slots
    ) -> None:
        self._dispatcher = dispatcher
        self._tally = tally
        self._slots = slots
        self._processors = Processors()
        self._busy: float | None = None
        self.slow = Slow(folder)
        self.ring = Ring()
        self._since = time.time()

    async def watch(self) -> None:
        """Take a sample every few seconds, for ever."""
        try:
            while True:
                self.sample()
                await asyncio.sleep(EVERY_SECONDS)
        finally:
            self.slow.close()

    def sample(self) -> None:
        """Note how things stand."""
        self._busy = self._processors.busy()
        self.slow.look()
        disk, database = self.slow.disk, self._dispatcher.database
        working = [job for job in database.working() if job.asked.is_local]
        self.ring.add(
            Sample(
                time.time(),
                self._busy,
                self._memory().used,
                disk[1] if disk else None,
                sum(job.asked.workers for job in working),
                len(database.waiting()),
                self._tally.stages(),
                self.slow.gpus,
            )
        )

    def told(self, who: Principal, since: float) -> MachineView:
        """All of it, as somebody may know it, with what was behind ``since``."""
        now = time.time()
        waiting, working = self._dispatcher.database.waiting(), self._dispatcher.database.working()
        disk, gpus = self.slow.disk, self.slow.gpus
        slots = self._slots().items()
        return MachineView(
            time=now,
            since=self._since,
            cores=available_cores(),
            busy=self._busy,
            load=load(),
            memory=self._memory(),
            disk=Disk(total=disk[0], free=disk[1]) if disk else None,
            gpus=[GpuView(**asdict(gpu)) for gpu in gpus],
            **self._shares(working),
            jobs_waiting=len(waiting),
            jobs_working=len(working),
            jobs_capacity=self._dispatcher.capacity.jobs,
            longest_wait=max((max(0.0, now - job.created) for job in waiting), default=0.0),
            slots=[SlotView(profile=name, **counts) for name, counts in slots],
            at_work=[self._at_work(who, job, now) for job in working],
            stages=self._tally.stages(),
            history=self.ring.told(since),
        )

    def _shares(self, working: Sequence[Job]) -> dict[str, Share]:
        """What jobs at work on this machine have of what all may have."""
        here = [job for job in working if job.asked.is_local]
        capacity = self._dispatcher.capacity
        pairs = {
            "workers": (sum(job.asked.workers for job in here), capacity.workers),
            "planned": (sum(job.memory for job in here), capacity.memory),
            "devices": (self._dispatcher.devices_taken, len(capacity.devices)),
        }
        return {name: Share(taken=taken, capacity=most) for name, (taken, most) in pairs.items()}

    def _memory(self) -> Memory:
        total = total_memory()
        return Memory(total=total, used=max(0, total - available_memory()))

    def _at_work(self, who: Principal, job: Job, now: float) -> AtWork:
        is_told = who.scope == "admin" or job.owner == who.name
        return AtWork(
            job=job.id if is_told else None,
            cohort=job.asked.output if is_told else None,
            owner=job.owner if is_told else None,
            workers=job.asked.workers,
            seconds=max(0.0, now - job.started) if job.started else 0.0,
            stages=self._tally.stages_of(job.id),
        )
