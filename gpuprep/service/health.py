"""Whether a service lives and can take jobs, and its numbers for Prometheus."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import get_args

from fastapi import APIRouter
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gpuprep.ledger.metrics import CONTENT_TYPE
from gpuprep.service.door.access import Reader, bearer
from gpuprep.service.jobs.dispatcher import Dispatcher
from gpuprep.service.jobs.events import Feeds
from gpuprep.service.jobs.folder import JOBS_FOLDER
from gpuprep.service.jobs.job import State
from gpuprep.service.problems import Problem, told
from gpuprep.service.tally import Tally
from gpuprep.values.errors import StoreFault

_LOOK_SECONDS = 1.0
_LEAST_FREE = 64 << 20
"""Bytes of disk without which no job is accepted."""


class Health(BaseModel):
    status: str = "ok"
    damaged_jobs: int = 0
    """Jobs that are lost, for their folders were damaged; the log says which."""


class Numbers(Collector):
    """The service in figures, each looked up when it is asked for. No label grows with cases or users."""

    def __init__(self, folder: Path, dispatcher: Dispatcher, feeds: Feeds) -> None:
        self._folder = folder
        self._dispatcher = dispatcher
        self._feeds = feeds
        self.tally = Tally(folder / JOBS_FOLDER)
        """What the runs of all jobs count."""
        self._more: list[Callable[[], Iterable[Metric]]] = [self.tally.collect]
        self._since = time.time()

    def add(self, more: Callable[[], Iterable[Metric]]) -> None:
        """Have other families told with these."""
        self._more.append(more)

    async def watch(self) -> None:
        """Keep count of what the jobs at work count, for ever."""
        while True:
            with suppress(StoreFault):
                self._look()
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        self.tally.look(job.id for job in self._dispatcher.database.working())

    def collect(self) -> Iterator[Metric]:
        self._look()
        jobs = GaugeMetricFamily("gpuprep_jobs", "Jobs by state.", labels=["state"])
        counts = self._dispatcher.database.counts()
        for state in get_args(State):
            jobs.add_metric([state], counts.get(state, 0))
        yield jobs
        for name, (help_text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"gpuprep_{name}", help_text, value)
        for more in self._more:
            yield from more()

    def _gauges(self) -> dict[str, tuple[str, float]]:
        now = time.time()
        waiting = self._dispatcher.database.waiting()
        working = self._dispatcher.database.working()
        capacity = self._dispatcher.capacity
        return {
            "queue_oldest_seconds": (
                "Age of the job that has waited longest.",
                max((max(0.0, now - job.created) for job in waiting), default=0.0),
            ),
            "working_oldest_seconds": (
                "How long the job at work has been so that began first.",
                max((max(0.0, now - job.started) for job in working if job.started), default=0.0),
            ),
            "workers_taken": (
                "Worker processes of all jobs at work.",
                sum(job.asked.workers for job in working),
            ),
            "workers_capacity": ("Worker processes that all jobs may have.", capacity.workers),
            "memory_taken_bytes": (
                "Memory that the plans of all jobs at work project.",
                sum(job.memory for job in working),
            ),
            "memory_capacity_bytes": ("Memory that all jobs may have.", capacity.memory),
            "devices_capacity": ("CUDA devices that jobs share out.", len(capacity.devices)),
            "devices_taken": ("CUDA devices that jobs have.", self._dispatcher.devices_taken),
            "disk_free_bytes": ("Room in the folder of the service.", _free(self._folder)),
            "event_streams": ("Clients that follow events.", self._feeds.readers),
            "service_start_time_seconds": ("When the service began.", self._since),
        }


def slot_numbers(state: Callable[[], Mapping[str, Mapping[str, int]]]) -> Iterator[Metric]:
    """The warm slots by profile: how many there are, are busy, and what waits for one."""
    family = GaugeMetricFamily(
        "gpuprep_slots", "Warm slots, those busy, and volumes waiting.", labels=["profile", "state"]
    )
    for profile, counts in state().items():
        for name, label in (("slots", "all"), ("busy", "busy"), ("waiting", "waiting")):
            family.add_metric([profile, label], counts[name])
    yield family


def _free(folder: Path) -> int:
    """Bytes of disk that are left; none where it cannot be asked."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


router = APIRouter(tags=["health"])


@router.get("/health/live", response_model=Health)
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/health/ready", response_model=Health, responses=told(503))
async def ready(request: Request) -> Health:
    """Jobs can be accepted: the service does not end, its database answers, there is room on the disks."""
    service = request.app.state
    wait = {"Retry-After": "30"}
    if service.feeds.closed:
        raise Problem(503, "the service is about to end", code="E_ENDING", headers=wait)
    service.desk.dispatcher.database.check()
    for folder in filter(None, (service.folder, service.desk.places.local_outputs)):
        if await asyncio.to_thread(_free, folder) < _LEAST_FREE:
            raise Problem(503, "a disk of the service is full or gone", code="E_DISK", headers=wait)
    return Health(damaged_jobs=len(service.desk.dispatcher.database.damaged))


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[bearer])
async def metrics(request: Request, who: Reader) -> Response:
    """The numbers in Prometheus' text format."""
    return Response(generate_latest(request.app.state.numbers), media_type=CONTENT_TYPE)
