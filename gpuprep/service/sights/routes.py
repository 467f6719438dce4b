"""One case over HTTP: its JSON, its volumes as NIfTI, slices and a thumbnail as PNG."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
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
from gpuprep.viewing.case_view import changed_texts, json_texts
from gpuprep.viewing.plane import plane_png

CaseId = Annotated[str, Path(min_length=1, max_length=255)]
SideName = Literal["before", "after"]
Number = Annotated[int, Query(ge=0, le=65_535)]
Label = Annotated[str, Query(max_length=255)]
End = Annotated[float | None, Query(allow_inf_nan=False)]
_WITH_PATHS = ("before_problem", "findings", "provenance", "record")
"""What tells files by their paths, of which clients know the names of roots alone."""
_SEEN = told(401, 403, 404, 422, 500, 503) | UNCHANGED


async def seen_case(request: Request, name: Name, case_id: CaseId, who: Reader) -> Seen:
    """The case of a cohort that is asked for, if whoever asks may see it."""
    cohorts: Cohorts = request.app.state.cohorts
    roots = request.app.state.source_roots(who)
    place = await asyncio.to_thread(cohorts.place, who, name)
    sights = _sights(request)
    return await sights.work(partial(sights.look, place, name, case_id, roots))


def sight_router(prefix: str, find: Callable[..., Awaitable[Seen]], kind: str) -> APIRouter:
    """The routes of what can be looked at.

    Args:
        prefix: Their address.
        find: A dependency that gives what is asked for, or refuses.
        kind: Begins the names of the operations.
    """
    router = APIRouter(prefix=prefix, tags=["cases"], dependencies=[bearer])
    look = Depends(find)

    @router.get("", response_model=CaseBody, responses=_SEEN, name=kind)
    async def view(request: Request, who: Reader, seen: Seen = look) -> Response:
        """Everything about a case: both sides, what was done, and where its parts are read."""
        tree = await _sights(request).work(partial(seen.sight.view, seen.links))
        hidden = request.app.state.cohorts.hidden
        told = {name: changed_texts(tree[name], hidden) for name in _WITH_PATHS}
        return tagged(request, CaseBody.model_validate(json_texts({**tree, **told})))

    @router.get("/volume.nii", response_class=NiftiResponse, responses=_SEEN, name=f"{kind}_volume")
    async def volume(
        request: Request,
        who: Reader,
        seen: Seen = look,
        side: SideName = "after",
        channel: Number = 0,
        label: Label = "",
        level: Number = 0,
    ) -> Response:
        """A channel as float32, or a label map, as an uncompressed NIfTI file."""
        tag = tag_of(seen.version, side, channel, label, level)
        if (answer := unchanged(request, tag)) is not None:
            return answer
        sights = _sights(request)
        await sights.prepare(seen.sight, side)
        file = await sights.work(
            partial(seen.sight.volume, side, channel=channel, label=label or None, level=level)
        )
        what = label or (f"channel{channel}" if channel else "")
        stem = "_".join(part for part in (seen.id, side, what) if part)
        return await volume_answer(request, sights, file, tag, f"{stem}.nii")

    @router.get(
        "/planes/{axis}/{index}.png",
        response_class=PngResponse,
        responses=_SEEN,
        name=f"{kind}_plane",
    )
    async def plane(
        request: Request,
        axis: Literal["x", "y", "z"],
        index: Annotated[int, Path(ge=0, le=65_535)],
        who: Reader,
        seen: Seen = look,
        side: SideName = "after",
        channel: Number = 0,
        low: End = None,
        high: End = None,
        label: Label = "",
    ) -> Response:
        """One slice, a pixel a voxel; ``low`` and ``high`` are black and white, in the source's values."""
        tag = tag_of(seen.version, side, axis, index, channel, low, high, label)
        if (answer := unchanged(request, tag)) is not None:
            return answer
        await _sights(request).prepare(seen.sight, side)
        drawn = partial(plane_png, seen.sight, side, axis, index, channel=channel)
        found = partial(drawn, window=(low, high), label=label or None)
        return PngResponse(await _sights(request).work(found), headers=headers_of(tag))

    @router.get(
        "/thumbnail.png", response_class=PngResponse, responses=_SEEN, name=f"{kind}_thumbnail"
    )
    async def thumbnail(request: Request, who: Reader, seen: Seen = look) -> Response:
        """Three planes of the stored case, 192 pixels high at most."""
        tag = tag_of(seen.version, "thumbnail")
        if (answer := unchanged(request, tag)) is not None:
            return answer
        sights = _sights(request)
        found = await sights.work(partial(sights.thumbnail, seen))
        return PngResponse(found, headers=headers_of(tag))

    return router


def _sights(request: Request) -> Sights:
    sights: Sights = request.app.state.sights
    return sights


router = sight_router("/v1/cohorts/{name}/cases/{case_id}", seen_case, "case")
