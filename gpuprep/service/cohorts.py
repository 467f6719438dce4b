"""Cohorts over HTTP: which there are, their cases, what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from gpuprep.ledger.failures import group_failures
from gpuprep.service.access import Reader, bearer
from gpuprep.service.bodies import Name, RetryGroup
from gpuprep.service.places import Places
from gpuprep.service.problems import Problem, told
from gpuprep.service.tokens import Principal
from gpuprep.store.places import Place
from gpuprep.store.reader import Cohort, open_cohort

Result = TypeVar("Result")


class CohortView(BaseModel):
    """A cohort."""

    name: str
    cases: int
    channels: list[str]
    zarr: str


class CohortPage(BaseModel):
    items: list[CohortView]


class CasePage(BaseModel):
    """Cases by natural order of their ids; ``next`` is what the next page begins after."""

    items: list[dict[str, Any]]
    next: str | None = None


class FailurePage(BaseModel):
    items: list[RetryGroup]


class RootPage(BaseModel):
    items: list[str]


class Cohorts:
    """The cohorts of a service, opened when they are first asked for."""

    def __init__(self, places: Places, roots: Iterable[str]) -> None:
        self._places = places
        self.roots = sorted(roots)

    def place(self, who: Principal, name: str) -> Place:
        """Where a cohort lies that someone may see. Raises Problem 404 for any other, as for none."""
        place = self._places.cohort(name) if who.may_see(name) else None
        if place is None:
            raise Problem(404, "there is no such cohort", code="E_COHORT")
        return place

    def names(self, who: Principal) -> list[str]:
        return [name for name in self._places.cohorts() if who.may_see(name)]

    async def read(self, who: Principal, name: str, work: Callable[[Cohort], Result]) -> Result:
        """What some work makes of a cohort, in another thread."""
        place = await asyncio.to_thread(self.place, who, name)

        def opened() -> Result:
            with open_cohort(str(place)) as cohort:
                return work(cohort)

        return await asyncio.to_thread(opened)


router = APIRouter(prefix="/v1", tags=["cohorts"], dependencies=[bearer])


def _cohorts(request: Request) -> Cohorts:
    cohorts: Cohorts = request.app.state.cohorts
    return cohorts


Shelf = Annotated[Cohorts, Depends(_cohorts)]
_SEEN = told(401, 403, 404, 422)


@router.get("/roots", response_model=RootPage, responses=told(401))
async def all_roots(who: Reader, cohorts: Shelf) -> RootPage:
    """The roots that one may take input from."""
    return RootPage(items=[name for name in cohorts.roots if who.may_use(name)])


@router.get("/cohorts", response_model=CohortPage, responses=told(401))
async def all_cohorts(who: Reader, cohorts: Shelf) -> CohortPage:
    """The cohorts that one may see."""
    names = await asyncio.to_thread(cohorts.names, who)
    return CohortPage(items=[await cohorts.read(who, name, _view(name)) for name in names])


@router.get("/cohorts/{name}", response_model=CohortView, responses=_SEEN)
async def cohort(name: Name, who: Reader, cohorts: Shelf) -> CohortView:
    """What a cohort is."""
    return await cohorts.read(who, name, _view(name))


@router.get("/cohorts/{name}/cases", response_model=CasePage, responses=_SEEN)
async def cases(
    name: Name,
    who: Reader,
    cohorts: Shelf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str, Query(max_length=255)] = "",
) -> CasePage:
    """What is stored of each case, in the order of their ids."""
    return await cohorts.read(who, name, lambda cohort: _page(cohort, after, limit))


@router.get("/cohorts/{name}/failures", response_model=FailurePage, responses=_SEEN)
async def failures(name: Name, who: Reader, cohorts: Shelf) -> FailurePage:
    """What failed in the last run, by reason."""
    place = await asyncio.to_thread(cohorts.place, who, name)
    groups = await asyncio.to_thread(group_failures, place)
    return FailurePage(items=[RetryGroup.of(group) for group in groups])


def _view(name: str) -> Callable[[Cohort], CohortView]:
    return lambda cohort: CohortView(
        name=name,
        cases=len(cohort),
        channels=[str(channel) for channel in cohort.agreement.channels],
        zarr=f"/v1/zarr/{name}",
    )


def _page(cohort: Cohort, after: str, limit: int) -> CasePage:
    ids = cohort.ids
    first = ids.index(after) + 1 if after in cohort else 0
    chosen = ids[first : first + limit]
    items = [_case(cohort, case_id) for case_id in chosen]
    more = first + limit < len(ids)
    return CasePage(items=items, next=chosen[-1] if more else None)


def _case(cohort: Cohort, case_id: str) -> dict[str, Any]:
    case = cohort[case_id]
    return {
        "id": case_id,
        "size": list(case.geometry.size),
        "spacing": list(case.geometry.spacing),
        "labels": sorted(case.label_names),
        "findings": sorted({finding.code for finding in case.findings}),
    }
