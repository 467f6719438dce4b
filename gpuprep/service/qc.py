"""A cohort in numbers over HTTP: distributions, outliers, and its cases chosen and sorted by measures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, StringConstraints

from gpuprep.quality.cohort_quality import BY_ID, Chosen, CohortQuality
from gpuprep.quality.selection import Range
from gpuprep.service.bodies import Name
from gpuprep.service.cohorts import CasePage, Known
from gpuprep.service.door.access import Reader, bearer
from gpuprep.service.problems import Problem, told
from gpuprep.service.shelf import Look

_TEXT = r"^[^\x00-\x1f\x7f]*$"
_MOST_RANGES = 20
RangeText = Annotated[str, StringConstraints(min_length=3, max_length=600, pattern=_TEXT)]
Ranges = Annotated[list[RangeText], Query(default_factory=list, max_length=_MOST_RANGES)]
MeasureName = Annotated[str, StringConstraints(min_length=1, max_length=600, pattern=_TEXT)]
MeasureNames = Annotated[list[MeasureName], Query(default_factory=list, max_length=_MOST_RANGES)]
Search = Annotated[str, Query(max_length=255, pattern=_TEXT)]


class MeasureView(BaseModel):
    """One number of the cases, as a distribution over all and over the selected ones."""

    name: str
    title: str
    unit: str
    group: str
    edges: list[float]
    counts: list[int]
    selected: list[int]
    missing: int
    median: float
    low: float
    high: float


class ClassView(BaseModel):
    """How many cases have a class of a label map."""

    map: str
    value: int
    name: str
    present: int
    absent: int
    selected: int


class OutlierView(BaseModel):
    """A case that is unlike the others, and why."""

    case: str
    kind: str
    measure: str
    value: float
    text: str
    score: float


class OutlierList(BaseModel):
    """The worst of each kind first; ``total`` counts those that are not told, too."""

    total: int
    items: list[OutlierView]


class FindingView(BaseModel):
    code: str
    text: str
    cases: int


class OrientationView(BaseModel):
    """How many cases have a source oriented so."""

    code: str
    cases: int
    selected: int


class QcView(BaseModel):
    """A cohort in numbers."""

    cases: int
    selected: int
    measures: list[MeasureView]
    classes: list[ClassView]
    outliers: OutlierList
    orientations: list[OrientationView]
    notes: list[str]
    findings: list[FindingView]


class CaseQcView(BaseModel):
    """One case in numbers."""

    values: dict[str, float | None]
    outliers: list[OutlierView]


router = APIRouter(prefix="/v1/cohorts", tags=["cohorts"], dependencies=[bearer])
_SEEN = told(401, 403, 404, 422)


@router.get("/{name}/qc", response_model=QcView, responses=_SEEN)
async def cohort_qc(
    name: Name, who: Reader, cohorts: Known, where: Ranges, search: Search = ""
) -> QcView:
    """Distributions, classes, outliers and findings; ``where`` is MEASURE:LOW:HIGH, and may repeat."""
    look = await cohorts.look(who, name)
    return await asyncio.to_thread(_qc, look.quality, where, search)


@router.get("/{name}/qc/cases/{case_id}", response_model=CaseQcView, responses=_SEEN)
async def case_qc(
    name: Name, case_id: Annotated[str, Path(max_length=255)], who: Reader, cohorts: Known
) -> CaseQcView:
    """The numbers of one case, and in what it is unlike the others."""
    look = await cohorts.look(who, name)
    row = look.places.get(case_id)
    if row is None:
        raise Problem(404, "there is no such case", code="E_CASE")
    return CaseQcView.model_validate(await asyncio.to_thread(look.quality.case_json, row))


@router.get("/{name}/cases", response_model=CasePage, responses=_SEEN)
async def cases(
    name: Name,
    who: Reader,
    cohorts: Known,
    where: Ranges,
    measure: MeasureNames,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    after: Annotated[str, Query(max_length=255)] = "",
    first: Annotated[int, Query(ge=0, le=2**31)] = 0,
    sort: Annotated[str, Query(max_length=600, pattern=_TEXT)] = "",
    search: Search = "",
) -> CasePage:
    """What is stored of each case, in the order of their ids or of a measure, with measures of it.

    Go on with ``after``, the ``next`` of the page before, or with ``first``, a row of the selected cases.
    """
    look = await cohorts.look(who, name)
    if after:
        if after not in look.places:
            raise Problem(422, f"there is no case {after!r} to go on after", code="E_PAGE")
        if first or sort or where or search:  # the order of another page
            raise Problem(
                422, "after goes on by id through all cases; use first here", code="E_PAGE"
            )
        first = look.places[after] + 1
    wish = Wish(sort, tuple(where), search, tuple(measure))
    return await asyncio.to_thread(_page, look, first, limit, wish)


def _qc(quality: CohortQuality, where: Sequence[str], search: str) -> QcView:
    return QcView.model_validate(quality.to_json(_chosen(quality, where, search)))


def _chosen(quality: CohortQuality, where: Sequence[str], search: str) -> Chosen:
    return quality.choose([Range.parse(text) for text in where], search)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which cases, in which order, with which measures."""

    sort: str
    where: tuple[str, ...]
    search: str
    measures: tuple[str, ...]

    @property
    def is_plain(self) -> bool:
        """Whether it is all cases in the order of their ids."""
        return not (self.sort or self.where or self.search)

    @property
    def shown(self) -> list[str]:
        """The measures to tell: those asked for, sorted by and chosen by."""
        chosen = (Range.parse(each).measure for each in self.where)
        sorted_by = self.sort.removeprefix("-")
        told = [*self.measures, *chosen, *([] if sorted_by in BY_ID else [sorted_by])]
        return list(dict.fromkeys(told))


def _page(look: Look, first: int, limit: int, wish: Wish) -> CasePage:
    quality = look.quality
    ordered = quality.order(_chosen(quality, wish.where, wish.search), wish.sort)
    rows, names = ordered[first : first + limit], wish.shown
    items: list[dict[str, Any]] = [
        {**told, **quality.brief(row, names)}
        for told, row in zip(look.rows(rows), rows.tolist(), strict=True)
    ]
    more = wish.is_plain and first + limit < len(ordered)
    return CasePage(
        items=items, next=items[-1]["id"] if more and items else None, total=len(ordered)
    )
