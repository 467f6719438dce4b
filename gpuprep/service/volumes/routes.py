"""POST /v1/process: one volume in, prepared by a warm slot, its arrays out; nothing is kept."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gpuprep.service.door.tokens import Scope
from gpuprep.service.problems import Problem
from gpuprep.service.volumes.answers import Wanted
from gpuprep.service.volumes.orders import Order, Refused, Reply
from gpuprep.service.volumes.sent_file import SentFile
from gpuprep.service.volumes.slots import Slots, Visit
from gpuprep.service.volumes.uploads import UploadLimits, file_name, receive, small_body
from gpuprep.service.volumes.wishes import BODY, RESPONSES, wanted

_LOG = logging.getLogger("gpuprep.service")


class Submitter(Protocol):
    """Who asks, as far as this page cares."""

    def may_use(self, root: str) -> bool:
        """Whether files of a root may be read for it."""


class Named(BaseModel):
    """A file, or the folder of one case, in a root of the service."""

    model_config = ConfigDict(extra="forbid", strict=True)
    root: str
    path: str


@dataclass(frozen=True)
class Door:
    """What the route needs of the rest of the service."""

    slots: Slots
    authorise: Callable[[Request, Scope], Submitter]
    resolve: Callable[[str, str], Path] | None
    limits: UploadLimits


def process_router(
    slots: Slots,
    authorise: Callable[[Request, Scope], Submitter],
    *,
    resolve: Callable[[str, str], Path] | None = None,
    limits: UploadLimits | None = None,
    dependencies: Sequence[Any] = (),
) -> APIRouter:
    """The route ``POST /v1/process``.

    Args:
        slots: Started before the first request.
        authorise: Gives whoever sent a request and may do what a scope names, or raises Problem.
        resolve: Gives the path of a file in a root, links followed; raises Problem where there is none. None:
            volumes come as bodies only.
        limits: Of bodies.
        dependencies: Of the route, as FastAPI has them: for its description.
    """
    door = Door(slots, authorise, resolve, limits or UploadLimits())
    router = APIRouter(tags=["volumes"], dependencies=list(dependencies))

    @router.post(
        "/v1/process",
        summary="Prepare one volume",
        response_class=Response,
        responses=RESPONSES,
        openapi_extra=BODY,
    )
    async def process(
        request: Request,
        profile: Annotated[str, Query(description="A profile of the service")] = "",
        name: Annotated[str, Query(description="The file's name, as scan.nii.gz")] = "",
        answer: Annotated[str, Query(description="zarr, npy, nifti or case; else Accept")] = "",
        patch: Annotated[str, Query(description="Voxels along z,y,x, as 96,96,96")] = "",
        overlap: Annotated[float, Query(description="Of neighbouring patches, a fraction")] = 0.5,
    ) -> Response:
        """The volume is the body, or lies in a root; its prepared arrays are the answer. Nothing is kept."""
        principal = door.authorise(request, "submit")
        wish = wanted(request, answer, patch, overlap)
        with suppress(ClientDisconnect):
            return await _processed(request, door, principal, profile, wish)
        return Response(status_code=499)  # nobody is there to read it

    return router


async def _processed(
    request: Request, door: Door, principal: Submitter, profile: str, wanted: Wanted
) -> Response:
    profile = profile or (next(iter(door.slots.lines)) if len(door.slots.lines) == 1 else "")
    try:
        visit = door.slots.visit(profile)
    except OSError as error:
        raise _no_scratch(error) from error
    try:
        began = time.perf_counter()
        order = await _order(request, door, principal, visit, wanted)
        received = time.perf_counter()
        reply = await _unless_gone(request, door.slots.prepare(visit, order))
        if reply.refused is not None:
            raise _problem(reply, reply.refused)
        done = time.perf_counter()
        waited = done - received - sum(seconds for _, seconds in reply.stages)
        stages = (("receive", received - began), *reply.stages, ("wait", waited))
        headers = _headers(reply, (*stages, ("total", done - began)))
        return SentFile(Path(reply.file), reply.media_type, headers, visit, door.limits.seconds)
    except OSError as error:
        visit.release()
        raise _no_scratch(error) from error
    except BaseException:
        visit.release()
        raise


def _no_scratch(error: OSError) -> Problem:
    code = errno.errorcode.get(error.errno or 0, "OSERROR")
    detail = f"the service cannot write its scratch: {error.strerror}"
    return Problem(503, detail, code=code, headers={"Retry-After": "10"})


async def _unless_gone(request: Request, work: Any) -> Reply:
    """What the work gives, unless the client leaves before; then it is cancelled.

    Raises:
        ClientDisconnect: the client left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _order(
    request: Request, door: Door, principal: Submitter, visit: Visit, wanted: Wanted
) -> Order:
    """Where the volume lies that the request is about; a body is received first."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        root, path = await _named(request, door, principal)
        source, inside = await asyncio.to_thread(_resolved, door, root, path)
        return Order(str(source), path, str(visit.folder), wanted, str(inside))
    if kind not in ("application/octet-stream", ""):
        raise Problem(
            415,
            f"a body of type {kind} is not taken",
            code="E_REQUEST",
            advice="send the file as application/octet-stream, or a root and a path as application/json",
        )
    name = file_name(request)
    folder = visit.folder / "in"
    folder.mkdir(mode=0o700)
    await receive(request, folder / name, door.limits)
    limits = door.limits.unpacked_bytes, door.limits.files
    unpack = limits if name.lower().endswith(".zip") else None
    return Order(str(folder / name), name, str(visit.folder), wanted, str(folder), unpack)


async def _named(request: Request, door: Door, principal: Submitter) -> tuple[str, str]:
    body = await small_body(request, door.limits)
    try:
        named = Named.model_validate_json(body)
    except ValidationError as error:
        what = "; ".join(str(each["msg"]) for each in error.errors()[:3])
        advice = 'send {"root": "NAME", "path": "FILE"}'
        raise Problem(422, f"the body is wrong: {what}", code="E_REQUEST", advice=advice) from None
    if door.resolve is None or not principal.may_use(named.root):
        raise Problem(422, f"there is no root {named.root[:200]!r}", code="E_ROOT")
    return named.root, str(PurePosixPath(named.path))


def _resolved(door: Door, root: str, path: str) -> tuple[Path, Path]:
    """A source in a root, and the folder that its files must lie in."""
    assert door.resolve is not None
    try:
        source = door.resolve(root, path)
        return source, source if source.is_dir() else source.parent
    except (OSError, ValueError):  # a name that no file can have, or a folder that is closed to us
        detail = f"there is nothing at {path[:200]!r} in root {root}"
        raise Problem(422, detail, code="E_PATH") from None


def _problem(reply: Reply, refused: Refused) -> Problem:
    if reply.trace:
        _LOG.error("a volume met a fault of gpuprep's own:\n%s", reply.trace)
    title = {422: "The volume cannot be prepared"}.get(refused.status, "")
    headers = {"Retry-After": "2"} if refused.status == 503 else {}
    return Problem(
        refused.status,
        refused.detail,
        title=title,
        code=refused.code,
        advice=refused.advice,
        headers=headers,
    )


def _headers(reply: Reply, stages: tuple[tuple[str, float], ...]) -> dict[str, str]:
    timing = ", ".join(f"{name};dur={1000 * max(0.0, seconds):.1f}" for name, seconds in stages)
    return {
        "Server-Timing": timing,
        "Gpuprep-Findings": ", ".join(dict.fromkeys(reply.findings)),
        "Gpuprep-Unused-Files": str(reply.unused),
        "Content-Disposition": f'attachment; filename="{_plain(Path(reply.file).name)}"',
        "Cache-Control": "no-store",
    }


def _plain(name: str) -> str:
    return name.encode("ascii", "replace").decode().replace("?", "_")
