"""Whether a service lives and can take jobs, and its numbers for Prometheus."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator

from fastapi import APIRouter
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gpuprep.ledger.metrics import CONTENT_TYPE
from gpuprep.service.access import Reader, bearer
from gpuprep.service.dispatcher import Dispatcher
from gpuprep.service.events import Feeds
from gpuprep.service.problems import Problem, told

_LEAST_FREE = 64 << 20
"""Bytes of disk without which no job is accepted."""


class Health(BaseModel):
    status: str = "ok"
    damaged_jobs: int = 0
    """Jobs that are lost, for their folders were damaged; the log says which."""


class Numbers(Collector):
    """The service in figures, each looked up when it is asked for."""

    def __init__(self, dispatcher: Dispatcher, feeds: Feeds) -> None:
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._more: list[Callable[[], Iterator[Metric]]] = []
        self._since = time.time()

    def add(self, more: Callable[[], Iterator[Metric]]) -> None:
        """Have other families told with these."""
        self._more.append(more)

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("gpuprep_jobs", "Jobs by state.", labels=["state"])
        for state, count in self._dispatcher.database.counts().items():
            jobs.add_metric([state], count)
        yield jobs
        waiting = self._dispatcher.database.waiting()
        oldest = max((max(0.0, time.time() - job.created) for job in waiting), default=0.0)
        working = self._dispatcher.database.working()
        for name, help_text, value in (
            ("queue_oldest_seconds", "Age of the job that has waited longest.", oldest),
            (
                "workers_taken",
                "Worker processes of all jobs at work.",
                sum(j.asked.workers for j in working),
            ),
            (
                "workers_capacity",
                "Worker processes that all jobs may have.",
                self._dispatcher.capacity.workers,
            ),
            (
                "memory_taken_bytes",
                "Memory that the plans of all jobs at work project.",
                sum(j.memory for j in working),
            ),
            ("event_streams", "Clients that follow events.", self._feeds.readers),
            ("service_start_time_seconds", "When the service began.", self._since),
        ):
            yield GaugeMetricFamily(f"gpuprep_{name}", help_text, value)
        for more in self._more:
            yield from more()


router = APIRouter(tags=["health"])


@router.get("/health/live", response_model=Health)
async def live() -> Health:
    """The process answers."""
    return Health()


@router.get("/health/ready", response_model=Health, responses=told(503))
async def ready(request: Request) -> Health:
    """Jobs can be accepted: the database answers, and there is room on the disk."""
    service = request.app.state
    service.desk.dispatcher.database.check()
    disk = await asyncio.to_thread(os.statvfs, service.folder)
    if disk.f_bavail * disk.f_frsize < _LEAST_FREE:
        wait = {"Retry-After": "30"}
        raise Problem(503, "the disk of the service is full", code="E_DISK", headers=wait)
    return Health(damaged_jobs=len(service.desk.dispatcher.database.damaged))


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[bearer])
async def metrics(request: Request, who: Reader) -> Response:
    """The numbers in Prometheus' text format."""
    return Response(generate_latest(request.app.state.numbers), media_type=CONTENT_TYPE)
