"""One case over HTTP: its JSON, its volumes as NIfTI, slices and a thumbnail as PNG."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gpuprep.service.bodies import Name
from gpuprep.service.cohorts import Cohorts
from gpuprep.service.door.access import Reader, bearer
from gpuprep.service.door.tagged import UNCHANGED, tagged
from gpuprep.service.problems import told
from gpuprep.service.sights.answers import (
    NiftiResponse,
    PngResponse,
    headers_of,
    tag_of,
    unchanged,
    volume_answer,
)
from gpuprep.service.sights.bodies import CaseBody
from gpuprep.service.sights.sights import Seen, Sights
from gpuprep.viewing.case_view import json_texts
from gpuprep.viewing.plane import plane_png
from gpuprep.viewing.volume_file import VolumeFile

router = APIRouter(
    prefix="/v1/cohorts/{name}/cases/{case_id}", tags=["cases"], dependencies=[bearer]
)

CaseId = Annotated[str, Path(min_length=1, max_length=255)]
SideName = Literal["before", "after"]
Number = Annotated[int, Query(ge=0, le=65_535)]
Label = Annotated[str, Query(max_length=255)]
End = Annotated[float | None, Query(allow_inf_nan=False)]
_SEEN = told(401, 403, 404, 422, 503) | UNCHANGED


async def seen_case(request: Request, name: Name, case_id: CaseId, who: Reader) -> Seen:
    """The case that is asked for, if whoever asks may see it."""
    cohorts: Cohorts = request.app.state.cohorts
    sights: Sights = request.app.state.sights
    roots = request.app.state.source_roots(who)
    place = await asyncio.to_thread(cohorts.place, who, name)
    return await sights.work(sights.look, place, name, case_id, roots)


Case = Annotated[Seen, Depends(seen_case)]


def _sights(request: Request) -> Sights:
    sights: Sights = request.app.state.sights
    return sights


@router.get("", response_model=CaseBody, responses=_SEEN)
async def case(request: Request, name: Name, case_id: CaseId, who: Reader, seen: Case) -> Response:
    """Everything about a case: both sides, what was done, and where its parts are read."""
    tree = await _sights(request).work(seen.sight.view, seen.links)
    hidden = request.app.state.cohorts.hidden
    if tree["before_problem"]:
        tree["before_problem"] = hidden(tree["before_problem"])
    return tagged(request, CaseBody.model_validate(json_texts(tree)))


@router.get("/volume.nii", response_class=NiftiResponse, responses=_SEEN)
async def volume(
    request: Request,
    name: Name,
    case_id: CaseId,
    who: Reader,
    seen: Case,
    side: SideName = "after",
    channel: Number = 0,
    label: Label = "",
    level: Number = 0,
) -> Response:
    """A channel as float32, or a label map, as an uncompressed NIfTI file."""
    sights = _sights(request)
    tag = tag_of(seen.version, side, channel, label, level)
    if (answer := unchanged(request, tag)) is not None:
        return answer

    def found() -> VolumeFile:
        return seen.sight.volume(side, channel=channel, label=label or None, level=level)

    file = await sights.work(found)
    what = label or (f"channel{channel}" if channel else "")
    stem = "_".join(part for part in (case_id, side, what) if part)
    return await volume_answer(request, sights, file, tag, f"{stem}.nii")


@router.get("/planes/{axis}/{index}.png", response_class=PngResponse, responses=_SEEN)
async def plane(
    request: Request,
    name: Name,
    case_id: CaseId,
    axis: Literal["x", "y", "z"],
    index: Annotated[int, Path(ge=0, le=65_535)],
    who: Reader,
    seen: Case,
    side: SideName = "after",
    channel: Number = 0,
    low: End = None,
    high: End = None,
    label: Label = "",
) -> Response:
    """One slice, a pixel a voxel; ``low`` and ``high`` become black and white, in the source's values."""
    tag = tag_of(seen.version, side, axis, index, channel, low, high, label)
    if (answer := unchanged(request, tag)) is not None:
        return answer

    def drawn() -> bytes:
        return plane_png(
            seen.sight,
            side,
            axis,
            index,
            channel=channel,
            window=(low, high),
            label=label or None,
        )

    return PngResponse(await _sights(request).work(drawn), headers=headers_of(tag))


@router.get("/thumbnail.png", response_class=PngResponse, responses=_SEEN)
async def thumbnail(
    request: Request, name: Name, case_id: CaseId, who: Reader, seen: Case
) -> Response:
    """Three planes of the stored case, 192 pixels high at most."""
    tag = tag_of(seen.version, "thumbnail")
    if (answer := unchanged(request, tag)) is not None:
        return answer
    sights = _sights(request)
    return PngResponse(await sights.work(sights.thumbnail, seen), headers=headers_of(tag))
