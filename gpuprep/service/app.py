"""The whole service as one ASGI app, put together from its parts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request

from gpuprep.service import cohorts, health, problems, qc
from gpuprep.service.chunks.lane import Lane
from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.service.cohorts import Cohorts
from gpuprep.service.description import describe
from gpuprep.service.door.access import Access, Sessions, bearer, submitter
from gpuprep.service.door.audit import Audit
from gpuprep.service.door.guard import Guard
from gpuprep.service.door.login import add_login
from gpuprep.service.door.tokens import Principal, Tokens
from gpuprep.service.door.verbs import Heads
from gpuprep.service.health import Numbers
from gpuprep.service.jobs import routes as job_routes
from gpuprep.service.jobs.desk import JobDesk
from gpuprep.service.jobs.dispatcher import Dispatcher
from gpuprep.service.jobs.events import Feeds
from gpuprep.service.jobs.rehearsal import Rehearser
from gpuprep.service.jobs.webhooks import Webhooks
from gpuprep.service.machine.routes import router as machine_router
from gpuprep.service.machine.watch import Machine
from gpuprep.service.pages import routes as pages
from gpuprep.service.places import Places
from gpuprep.service.settings import Settings
from gpuprep.service.sights import routes as sight_routes
from gpuprep.service.sights.sights import Sights
from gpuprep.service.volumes.routes import process_router
from gpuprep.service.volumes.slots import Slots, WarmProfile
from gpuprep.service.volumes.uploads import UploadLimits
from gpuprep.store.places import Place
from gpuprep.values.version import __version__

PROCESS_PATH = "/v1/process"
_log = logging.getLogger("gpuprep.service")
SLOTS_FOLDER = "slots"


class Service:
    """Everything that a service holds while it lives, and its app."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.tokens = Tokens(folder)
        self.tokens.refresh()
        self.sessions = Sessions()
        self.access = Access(self.tokens, self.sessions)
        self.places = Places(folder, settings)
        self.feeds = Feeds()
        self.dispatcher = Dispatcher(folder, settings, self.places)
        self.webhooks = Webhooks(folder, settings.webhooks, self.dispatcher.database)
        self.dispatcher.listen(self.webhooks.listen)
        self.rehearser = Rehearser()
        self.slots = Slots(_warm(settings), folder / SLOTS_FOLDER)
        self.sights = Sights()
        self.numbers = Numbers(folder, self.dispatcher, self.feeds)
        outputs = self.places.local_outputs
        self.machine = Machine(outputs, self.dispatcher, self.numbers.tally, self.slots.state)
        self._chunks = chunk_answers(self._place_of)
        self._cors = [str(origin).rstrip("/") for origin in settings.cors]
        self.api = self._api(folder)
        lane = Lane(Heads(self.api), self._chunks, self.api.exception_handlers, cors=self._cors)
        self.audit = Audit(Guard(lane, settings, PROCESS_PATH), folder)
        self.numbers.add(self.audit.collect)
        self.numbers.add(self.tokens.collect)
        self.numbers.add(partial(health.slot_numbers, self.slots.state))
        self.app: Any = self.audit

    def begin_to_end(self) -> None:
        """End all streams, so that the server can stop."""
        self.feeds.close()

    @asynccontextmanager
    async def _life(self, app: FastAPI) -> AsyncIterator[None]:
        await self.dispatcher.keep(self.dispatcher.recover)
        await self.webhooks.recover()
        watch = asyncio.create_task(self.feeds.watch())
        count = asyncio.create_task(self.numbers.watch())
        sample = asyncio.create_task(self.machine.watch())
        await self.rehearser.warm()
        await self.slots.start()
        follow = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self.begin_to_end()
            for task in (watch, count, sample, follow):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self.slots.close()
            await self.webhooks.close()
            await self.dispatcher.keep(self.dispatcher.stop)
            self.rehearser.close()
            self.sights.close()

    async def _follow(self) -> None:
        """Notice what becomes of the jobs, and begin those whose turn it is."""
        while True:
            try:
                await self.dispatcher.keep(self.dispatcher.look)
            except Exception:  # whatever it is, the other jobs go on
                _log.exception("the jobs could not be looked at")
            await asyncio.sleep(0.1)

    def _api(self, folder: Path) -> FastAPI:
        api = FastAPI(
            title="gpuprep",
            version=__version__,
            description="Folders of CT and MR scans in, training-ready Zarr cohorts out.",
            docs_url=None,  # its pages would load scripts from elsewhere
            redoc_url=None,
            lifespan=self._life,
            redirect_slashes=False,  # a redirect would name whatever host was asked for
            generate_unique_id_function=lambda route: route.name,
        )
        problems.install(api, self.places.hidden)
        describe(api)
        api.state.access = self.access
        api.state.folder = folder
        api.state.feeds = self.feeds
        api.state.desk = JobDesk(self.settings, self.places, self.dispatcher, self.rehearser)
        api.state.cohorts = Cohorts(self.places, self.settings.roots)
        api.state.pages = ["/", "/jobs", "/machine"]
        api.state.sights = self.sights
        api.state.source_roots = self._source_roots
        api.state.numbers = self.numbers
        api.state.numbers.add(self.webhooks.numbers)
        api.state.machine = self.machine
        for router in (
            job_routes.router,
            cohorts.router,
            qc.router,
            sight_routes.router,
            health.router,
            machine_router,
            pages.router,
        ):
            api.include_router(router)
        limits = self.settings.limits
        uploads = UploadLimits(int(limits.upload), limits.upload_seconds)
        source = self.places.source
        api.include_router(
            process_router(
                self.slots,
                self.access.needs,
                resolve=source,
                limits=uploads,
                dependencies=[bearer, Depends(submitter)],
            )
        )
        api.router.routes[:0] = chunk_routes(self._chunks, cors=self._cors)
        secure = bool(self.settings.tls_certificate or self.settings.behind_proxy)
        add_login(api, self.sessions, secure=secure)
        return api

    def _source_roots(self, who: Principal) -> list[str] | None:
        """Folders from which the sources of cases may be shown to whoever asks; None for any."""
        return [path for name, path in self.settings.roots.items() if who.may_use(name)]

    def _place_of(self, request: Request, cohort: str) -> Place | None:
        """Where a cohort lies, or would, that whoever asks may read; nothing is looked up for a chunk."""
        who = self.access.needs(request, "read")
        return self.places.lies(cohort) if who.may_see(cohort) else None


def _warm(settings: Settings) -> dict[str, WarmProfile]:
    """The profiles whose slots are kept warm for single volumes."""
    return {
        name: WarmProfile(settings.config_of(name), each.slots, each.queue, each.seconds)
        for name, each in settings.profiles.items()
    }
