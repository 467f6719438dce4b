"""``/v1/zarr/{cohort}/…``: the files of outputs by GET and HEAD, whole or a range of bytes.

Not Starlette's ``FileResponse``: it knows no 304 for ``If-None-Match``, answers malformed ranges with 400 and
many with a body of many parts, and opens the file anew for each chunk.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gpuprep.service.chunks.conditions import CONDITIONS, Part, Verdict, decide, wanted_part
from gpuprep.service.chunks.contents import Content
from gpuprep.service.chunks.cors import Cors
from gpuprep.service.chunks.float32 import Widened
from gpuprep.service.chunks.lane import Answer
from gpuprep.service.chunks.outputs import LISTING, Name, Outputs, parse_name
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place
from gpuprep.values.errors import CorruptStoreError, StoreError

PlaceOf = Callable[[Request, str], Place | None]
"""Where a cohort lies that whoever asks may read; None for any other name."""

_PIECE = 1 << 20  # bytes of an answer at a time
_CACHING = "private, no-cache"  # keep it, but ask each time: a case may be replaced
_REFUSALS = {
    412: "what is there is not what If-Match or If-Unmodified-Since names",
    416: "the range lies behind the end",
}


def chunk_answers(place_of: PlaceOf) -> dict[str, Answer]:
    """What answers requests below ``/v1/zarr`` and, with float16 widened to float32, ``/v1/zarr32``.

    Args:
        place_of: Says where a cohort lies, and refuses who may not read it.
    """
    outputs = Outputs()

    def answer(find: Find) -> Answer:
        async def found(request: Request) -> Response:
            return await _answer(request, place_of, find)

        return found

    return {"zarr": answer(outputs.find), "zarr32": answer(Widened(outputs).find)}


def chunk_routes(answers: Mapping[str, Answer], *, cors: Sequence[str] = ()) -> list[Route]:
    """The routes of those answers, which pages of the origins ``cors`` may read (``https://viewer.example``)."""
    around = [Middleware(Cors, origins=tuple(cors))]
    verbs = ["GET", "HEAD", "OPTIONS"]  # together, so that a 405 tells them all
    return [
        Route(
            f"/v1/{name}/{{cohort}}/{{path:path}}",
            answer,
            methods=verbs,
            name=name,
            middleware=around,
        )
        for name, answer in answers.items()
    ]


Find = Callable[[Place, Name, Part | None], Awaitable[Content | None]]


class Bytes(Response):
    """An answer with a part of a content, read while it is sent; its first piece is read before."""

    def __init__(
        self, content: Content, verdict: Verdict, headers: dict[str, str], first: bytes
    ) -> None:
        self.status_code = verdict.status
        self.background = None
        self.raw_headers = [(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
        self._content, self._verdict, self._first = content, verdict, first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        body, at = self._first, self._verdict.start + len(self._first)
        end = at if scope["method"] == "HEAD" else self._verdict.stop
        while at < end:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            body = await self._content.read(at, min(at + _PIECE, end))
            at += len(body)
        await send({"type": "http.response.body", "body": body})


async def _answer(request: Request, place_of: PlaceOf, find: Find) -> Response:
    """What a GET or HEAD is answered with; raises HTTPException for 404, 412 and 416."""
    cohort, path = request.path_params["cohort"], request.path_params["path"]
    place = place_of(request, cohort)
    name = None if place is None else parse_name(path)
    method, asked = request.method, _asked(request.scope)
    part = wanted_part(method, asked) if isinstance(place, ObjectPath) else None
    try:
        content = None if place is None or name is None else await find(place, name, part)
    except StoreError as error:
        raise _unread(path, error) from error
    if content is None:
        raise HTTPException(404, f"{cohort} has nothing to read under this name")
    now = time.time()
    verdict = decide(
        method, asked, etag=content.etag, modified=content.modified, size=content.size, now=now
    )
    headers = _headers(path, content, verdict, now)
    if verdict.status in _REFUSALS:
        raise HTTPException(verdict.status, _REFUSALS[verdict.status], headers)
    first = b""
    if method != "HEAD" and verdict.status != 304:
        try:
            first = await content.read(verdict.start, min(verdict.start + _PIECE, verdict.stop))
        except StoreError as error:
            raise _unread(path, error) from error
    return Bytes(content, verdict, headers, first)


def _headers(path: str, content: Content, verdict: Verdict, now: float) -> dict[str, str]:
    """The headers of an answer, the same for GET and HEAD."""
    headers = {"etag": content.etag, "cache-control": _CACHING, "accept-ranges": "bytes"}
    if content.modified:
        headers["last-modified"] = _date(int(min(content.modified, now)))
    if verdict.status == 416:
        headers["content-range"] = f"bytes */{content.size}"
    if verdict.status == 206:
        headers["content-range"] = f"bytes {verdict.start}-{verdict.stop - 1}/{content.size}"
    if verdict.status in (200, 206):
        headers["content-length"] = str(verdict.stop - verdict.start)
        json = path.endswith(".json") or path.rstrip("/") == LISTING
        headers["content-type"] = "application/json" if json else "application/octet-stream"
    return headers


@lru_cache(4096)
def _date(seconds: int) -> str:
    """A time as HTTP writes it."""
    return formatdate(seconds, usegmt=True)


def _unread(path: str, error: StoreError) -> HTTPException:
    """The answer where a disk or store gives nothing; it names no folder of this machine."""
    if isinstance(error, CorruptStoreError):
        return HTTPException(500, f"{path} is damaged; run gpuprep verify on the cohort")
    return HTTPException(503, f"{path} cannot be read now; ask again", {"retry-after": "1"})


def _asked(scope: Scope) -> dict[str, str]:
    """The headers that change an answer, by lower-case name; a ``Range`` given twice is none."""
    found: dict[str, str] = {}
    for key, value in scope["headers"]:
        name = key.decode("latin-1")
        if name in CONDITIONS or name == "range":
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found
