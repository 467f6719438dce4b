"""Cohorts over HTTP: which there are, their cases, what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from gpuprep.ledger.failures import group_failures
from gpuprep.service.bodies import Name, RetryGroup
from gpuprep.service.door.access import Reader, bearer
from gpuprep.service.door.tokens import Principal, Scope
from gpuprep.service.places import OnePlace, Places
from gpuprep.service.problems import Problem, told
from gpuprep.service.shelf import Look, Shelf
from gpuprep.store.places import Place
from gpuprep.values.errors import GpuprepError
from gpuprep.values.version import __version__
from gpuprep.viewing.case_view import json_texts


class CohortView(BaseModel):
    """A cohort; where ``problem`` says why it cannot be read, it has no cases here."""

    name: str
    cases: int
    channels: list[str]
    zarr: str
    problem: str | None = None


class CohortPage(BaseModel):
    items: list[CohortView]


class CasePage(BaseModel):
    """Cases in the order asked for, and how many there are of such cases in all.

    ``next`` is what the next page begins after, where all cases are asked for in the order of their ids.
    """

    items: list[dict[str, Any]]
    next: str | None = None
    total: int


class FailurePage(BaseModel):
    items: list[RetryGroup]


class RootPage(BaseModel):
    items: list[str]


class About(BaseModel):
    """Which service this is, and who asks."""

    service: Literal["gpuprep"] = "gpuprep"
    version: str = __version__
    who: str
    scope: Scope
    pages: list[str]


class Cohorts:
    """The cohorts of a service, opened when they are first asked for."""

    def __init__(self, places: Places | OnePlace, roots: Iterable[str]) -> None:
        self._places = places
        self.roots = sorted(roots)
        self._shelf = Shelf()
        self.hidden = places.hidden

    def place(self, who: Principal, name: str) -> Place:
        """Where a cohort lies that someone may see. Raises Problem 404 for any other, as for none."""
        place = self._places.cohort(name) if who.may_see(name) else None
        if place is None:
            raise Problem(404, "there is no such cohort", code="E_COHORT")
        return place

    async def all(self, who: Principal) -> dict[str, Look | Exception]:
        """What all cohorts hold that someone may see, by name; several are looked at at a time.

        Of one that cannot be read, it is what was raised: the others are there all the same.
        """
        places = await asyncio.to_thread(self._places.cohorts, who.may_see)
        looks = (asyncio.to_thread(self._look_or_error, place) for place in places.values())
        return dict(zip(places, await asyncio.gather(*looks), strict=True))

    def _look_or_error(self, place: Place) -> Look | Exception:
        try:
            return self._shelf.look(place)
        except (
            GpuprepError,
            OSError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            return error

    async def look(self, who: Principal, name: str) -> Look:
        """What a cohort holds, looked at in another thread."""
        place = await asyncio.to_thread(self.place, who, name)
        return await asyncio.to_thread(self._shelf.look, place)


router = APIRouter(prefix="/v1", tags=["cohorts"], dependencies=[bearer])


def _cohorts(request: Request) -> Cohorts:
    cohorts: Cohorts = request.app.state.cohorts
    return cohorts


Known = Annotated[Cohorts, Depends(_cohorts)]
_SEEN = told(401, 403, 404, 422)


@router.get("/about", response_model=About, responses=told(401))
async def about(request: Request, who: Reader) -> About:
    """Which service this is, who asks and what they may do."""
    return About(who=who.name, scope=who.scope, pages=request.app.state.pages)


@router.get("/roots", response_model=RootPage, responses=told(401))
async def all_roots(who: Reader, cohorts: Known) -> RootPage:
    """The roots that one may take input from."""
    return RootPage(items=[name for name in cohorts.roots if who.may_use(name)])


@router.get("/cohorts", response_model=CohortPage, responses=told(401))
async def all_cohorts(who: Reader, cohorts: Known) -> CohortPage:
    """The cohorts that one may see."""
    found = await cohorts.all(who)
    return CohortPage(
        items=[
            _broken(name, look, cohorts.hidden)
            if isinstance(look, Exception)
            else _view(name, look)
            for name, look in found.items()
        ]
    )


@router.get("/cohorts/{name}", response_model=CohortView, responses=_SEEN)
async def cohort(name: Name, who: Reader, cohorts: Known) -> CohortView:
    """What a cohort is."""
    return _view(name, await cohorts.look(who, name))


@router.get("/cohorts/{name}/failures", response_model=FailurePage, responses=_SEEN)
async def failures(name: Name, who: Reader, cohorts: Known) -> FailurePage:
    """What failed in the last run, by reason."""
    place = await asyncio.to_thread(cohorts.place, who, name)
    groups = await asyncio.to_thread(group_failures, place)
    return FailurePage(items=[RetryGroup.of(group, cohorts.hidden) for group in groups])


def _view(name: str, look: Look) -> CohortView:
    return CohortView(
        name=name, cases=len(look.places), channels=list(look.channels), zarr=f"/v1/zarr/{name}"
    )


def _broken(name: str, error: Exception, hidden: Callable[[str], str]) -> CohortView:
    """A cohort that cannot be read, and why."""
    said = f"{error}; {error.advice}" if isinstance(error, GpuprepError) and error.advice else error
    text = (
        str(said)
        if isinstance(error, GpuprepError | OSError)
        else "what lists its cases is damaged"
    )
    return CohortView(
        name=name, cases=0, channels=[], zarr=f"/v1/zarr/{name}", problem=json_texts(hidden(text))
    )
