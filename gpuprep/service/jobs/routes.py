"""Jobs over HTTP: submit, list, show, watch, cancel, resume, retry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.responses import JSONResponse

from gpuprep.service.bodies import (
    JobId,
    JobPage,
    JobRequest,
    JobView,
    PlanView,
    PriorityRequest,
    RetryPlan,
)
from gpuprep.service.door.access import Access, Reader, Submitter, bearer
from gpuprep.service.door.tagged import UNCHANGED, tagged
from gpuprep.service.door.verbs import IS_HEAD
from gpuprep.service.jobs.desk import JobDesk
from gpuprep.service.jobs.events import END, Feeds
from gpuprep.service.jobs.job import Job, State
from gpuprep.service.problems import Problem, told


class EventStream(StreamingResponse):
    """Server-sent events, which nothing on the way holds back or keeps."""

    media_type = "text/event-stream"

    def __init__(self, lines: Any, status_code: int = 200) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(lines, status_code, headers)


router = APIRouter(prefix="/v1", tags=["jobs"], dependencies=[bearer])

LastEventId = Annotated[int | None, Header(ge=0)]
After = Annotated[Literal["end"] | None, Query(description="``end``: nothing of what was.")]
Brief = Annotated[bool, Query(description="Of cases that went their way, only the latest.")]
Key = Annotated[str | None, Header(max_length=200, pattern=r"^[!-~]+$")]
DryRun = Annotated[bool, Query(description="Only tell what would be done.")]
_BLOCK = 501  # rows of the list of jobs that are read at once; one more than a page has
_SEEN = told(401, 403, 404, 422)


def _desk(request: Request) -> JobDesk:
    desk: JobDesk = request.app.state.desk
    return desk


def _feeds(request: Request) -> Feeds:
    feeds: Feeds = request.app.state.feeds
    return feeds


Desk = Annotated[JobDesk, Depends(_desk)]
Events = Annotated[Feeds, Depends(_feeds)]


@router.post(
    "/jobs",
    status_code=201,
    response_model=JobView,
    responses={
        200: {
            "model": JobView | PlanView,
            "description": "Submitted before; or the plan of it",
        },
        **told(400, 401, 403, 404, 409, 413, 422, 429, 503),
    },
)
async def submit(
    body: JobRequest,
    who: Submitter,
    desk: Desk,
    *,
    dry_run: DryRun = False,
    idempotency_key: Key = None,
) -> Response:
    """Make a cohort. With ``dry_run`` all of it is looked at, and only told."""
    if dry_run:
        _, plan = await desk.look_at(who, body, whole=True)
        return JSONResponse(plan.to_json())
    job, is_new = await desk.submit(who, body, idempotency_key)
    return _answer(await desk.view(job), 201 if is_new else 200, job)


@router.get("/jobs", response_model=JobPage, responses={**UNCHANGED, **told(401, 422)})
async def jobs(
    request: Request,
    who: Reader,
    desk: Desk,
    state: Annotated[list[State] | None, Query(max_length=20)] = None,
    owner: Annotated[str, Query(max_length=100)] = "",
    cohort: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
) -> Response:
    """The newest jobs first, of any of the states; ``after`` is the ``next`` of the page before."""
    before = int(after) if after else 1 << 62
    found: list[Job] = []
    while len(found) <= limit:
        page = desk.dispatcher.database.page(
            owner=owner, states=state or (), output=cohort, before=before, limit=_BLOCK
        )
        found += [job for job in page if desk.may_see(who, job)]
        if len(page) < _BLOCK:
            break
        before = page[-1].seq
        await asyncio.sleep(0)  # most may be others'; nobody else is to wait for that
    items = await desk.views(found[:limit])
    more = str(found[limit - 1].seq) if len(found) > limit else None
    return tagged(request, JobPage(items=items, next=more))


@router.get("/jobs/{job_id}", response_model=JobView, responses={**UNCHANGED, **_SEEN})
async def job(request: Request, job_id: JobId, who: Reader, desk: Desk) -> Response:
    """How a job stands."""
    return tagged(request, await desk.view(desk.seen(who, job_id)))


@router.patch("/jobs/{job_id}", response_model=JobView, responses={**_SEEN, **told(409, 413)})
async def change(job_id: JobId, body: PriorityRequest, who: Submitter, desk: Desk) -> JobView:
    """Give a job that waits another priority."""
    found = desk.owned(who, job_id)
    return await desk.view(await desk.keep(desk.dispatcher.set_priority, found, body.priority))


@router.post("/jobs/{job_id}/cancel", status_code=202, response_model=JobView, responses=_SEEN)
async def cancel(job_id: JobId, who: Submitter, desk: Desk) -> JobView:
    """End a job; what is stored stays. One that is over stays as it is."""
    return await desk.view(await desk.keep(desk.dispatcher.cancel, desk.owned(who, job_id)))


@router.post(
    "/jobs/{job_id}/resume",
    status_code=202,
    response_model=JobView,
    responses={**_SEEN, **told(409)},
)
async def resume(job_id: JobId, who: Submitter, desk: Desk) -> JobView:
    """Have a job go on where it stopped; stored cases are not made again."""
    return await desk.view(await desk.keep(desk.dispatcher.resume, desk.owned(who, job_id)))


@router.post(
    "/jobs/{job_id}/retry",
    status_code=201,
    response_model=JobView,
    responses={
        200: {
            "model": JobView | RetryPlan,
            "description": "Asked for before; or what would be done again, for ``dry_run``",
        },
        **_SEEN,
        **told(409, 429, 503),
    },
)
async def retry(
    job_id: JobId,
    who: Submitter,
    desk: Desk,
    *,
    dry_run: DryRun = False,
    code: Annotated[list[str] | None, Query(max_length=50)] = None,
    idempotency_key: Key = None,
) -> Response:
    """Do exactly the cases again that failed, or those of some codes, as a new job."""
    found = desk.owned(who, job_id)
    if dry_run:
        plan = await asyncio.to_thread(desk.retry_plan, found, code or ())
        return JSONResponse(plan.model_dump(mode="json"))
    again, is_new = await desk.retry(who, found, code or (), idempotency_key)
    return _answer(await desk.view(again), 201 if is_new else 200, again)


@router.get("/jobs/{job_id}/events", response_class=EventStream, responses={**_SEEN, **told(503)})
async def events(
    request: Request,
    job_id: JobId,
    who: Reader,
    desk: Desk,
    feeds: Events,
    *,
    brief: Brief = False,
    last_event_id: LastEventId = None,
) -> Response:
    """What happens to a job, from the first event or the one behind ``Last-Event-ID``, until it ends."""
    found = desk.seen(who, job_id)
    path = desk.dispatcher.events_of(found.id)
    lines = feeds.stream(path, last_event_id or 0, done=lambda: desk.is_over(found.id), brief=brief)
    return _follow(request, desk, feeds, lines)


@router.get("/events", response_class=EventStream, responses=told(503))
async def all_events(
    request: Request,
    who: Reader,
    desk: Desk,
    feeds: Events,
    *,
    after: After = None,
    last_event_id: LastEventId = None,
) -> Response:
    """How all jobs stand that one may see: every change of a state."""

    def wanted(tree: dict[str, Any]) -> bool:
        return who.may_see(str(tree.get("cohort"))) or tree.get("owner") == who.name

    path = desk.dispatcher.all_events
    start = last_event_id if last_event_id is not None else END if after else 0
    return _follow(request, desk, feeds, feeds.stream(path, start, wanted=wanted))


def _follow(
    request: Request, desk: JobDesk, feeds: Feeds, lines: AsyncGenerator[bytes]
) -> Response:
    if feeds.readers >= desk.settings.limits.streams:
        raise Problem(
            503, "too many follow events already", code="E_STREAMS", headers={"Retry-After": "5"}
        )
    if request.scope.get(IS_HEAD):
        return EventStream(iter(()))
    return EventStream(_while_allowed(request, lines))


async def _while_allowed(request: Request, lines: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """The lines until the token that asked for them is revoked, or its session is over."""
    access: Access = request.app.state.access
    async with aclosing(lines):
        async for line in lines:
            if not access.stands(request):
                return
            yield line


def _answer(body: BaseModel, status: int, job: Job) -> JSONResponse:
    return JSONResponse(body.model_dump(mode="json"), status, {"Location": f"/v1/jobs/{job.id}"})
