"""A small service of one cohort, case or input, with the pages and no jobs, for whoever started it."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from gpuprep.service import cohorts, problems, qc
from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.service.cohorts import Cohorts
from gpuprep.service.description import describe
from gpuprep.service.door.access import Access, Reader, Sessions
from gpuprep.service.door.guard import Guard
from gpuprep.service.door.login import add_login
from gpuprep.service.door.tokens import Tokens
from gpuprep.service.door.verbs import Heads
from gpuprep.service.pages import routes as pages
from gpuprep.service.places import OnePlace
from gpuprep.service.settings import NAME, Settings
from gpuprep.service.sights import routes as sight_routes
from gpuprep.service.sights.sights import Seen, Sights
from gpuprep.store.places import Place
from gpuprep.values.version import __version__
from gpuprep.viewing.links import Links
from gpuprep.viewing.opened import Opened

INPUT = "/v1/input"
INPUT_PAGE = "/input"


class Viewer:
    """The service of ``gpuprep view``."""

    def __init__(self, opened: Opened, folder: Path) -> None:
        """Show what was opened; ``folder`` is an empty one that nobody else has."""
        self.sessions = Sessions()
        self.access = Access(Tokens(folder), self.sessions)
        self.sights = Sights(output=opened.output)
        self._opened = opened
        self._version = secrets.token_hex(8)  # another input may come under the same address later
        name = address_name(opened.name)
        self._places = OnePlace(name, opened.cohort)
        self._cohorts = Cohorts(self._places, ())
        self.landing = _landing(name, opened)
        self.api = self._api()
        self.app: Any = Guard(Heads(self.api), Settings(), "")

    def begin_to_end(self) -> None:
        """There is nothing to end."""

    @asynccontextmanager
    async def _life(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        self.sights.close()

    def _api(self) -> FastAPI:
        api = FastAPI(
            title="gpuprep view",
            version=__version__,
            docs_url=None,
            redoc_url=None,
            lifespan=self._life,
            redirect_slashes=False,
            generate_unique_id_function=lambda route: route.name,
        )
        problems.install(api)
        describe(api)
        api.state.access = self.access
        api.state.cohorts = self._cohorts
        api.state.sights = self.sights
        api.state.source_roots = lambda who: None
        api.state.pages = ["/"]
        add_login(api, self.sessions, secure=False)
        self._add_landing(api)
        for router in (cohorts.router, qc.router, sight_routes.router, pages.router):
            api.include_router(router)
        if self._opened.sight is not None:
            api.include_router(sight_routes.sight_router(INPUT, self._input, "input"))
        api.router.routes[:0] = chunk_routes(chunk_answers(self._place_of))
        return api

    async def _input(self, who: Reader) -> Seen:
        """The one thing that is looked at."""
        opened = self._opened
        assert opened.sight is not None
        return Seen(opened.name, opened.sight, Links(INPUT), self._version, opened.stored)

    def _place_of(self, request: Request, cohort: str) -> Place | None:
        self.access.needs(request, "read")
        return self._places.cohort(cohort)

    def _add_landing(self, api: FastAPI) -> None:
        """The first page is that of what was opened."""

        @api.get("/", include_in_schema=False)
        async def landing(request: Request) -> Response:
            if not self.access.stands(request):  # the address names the case
                return await pages.shell(request)
            return RedirectResponse(self.landing, 303)

        api.add_api_route(INPUT_PAGE, pages.shell, include_in_schema=False)


def address_name(name: str) -> str:
    """A name as addresses of a service have it.

    >>> address_name("my cohort (1)")
    'my-cohort-1'
    """
    found = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100]
    return found if re.fullmatch(NAME, found) else "cohort"


def _landing(name: str, opened: Opened) -> str:
    if opened.cohort is None:
        return INPUT_PAGE
    case = f"/cases/{quote(opened.case, safe='')}" if opened.case else ""
    return f"/cohorts/{name}{case}"
