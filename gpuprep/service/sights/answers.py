"""Answers that a browser may keep, each under a tag of what they were made from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gpuprep.service.chunks.conditions import decide
from gpuprep.service.door.verbs import IS_HEAD
from gpuprep.service.sights.sights import Sights
from gpuprep.values.version import __version__
from gpuprep.viewing.volume_file import VolumeFile

_KEPT = "private, no-cache"  # by whoever asked, and asked for anew each time
NIFTI = "application/x-nifti"


class PngResponse(Response):
    media_type = "image/png"


class NiftiResponse(Response):
    media_type = NIFTI


def tag_of(*parts: object) -> str:
    """A tag of what an answer is made from, without making it; other versions draw otherwise."""
    text = "\0".join(map(str, (__version__, *parts)))
    return f'"{hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]}"'


def headers_of(tag: str) -> dict[str, str]:
    return {"etag": tag, "cache-control": _KEPT}


def unchanged(request: Request, tag: str) -> Response | None:
    """304 where ``If-None-Match`` names the tag."""
    given = request.headers.get("if-none-match")
    asked = {} if given is None else {"if-none-match": given}
    verdict = decide("HEAD", asked, etag=tag, modified=0, size=0, now=time.time())
    return Response(status_code=304, headers=headers_of(tag)) if verdict.status == 304 else None


async def volume_answer(
    request: Request, sights: Sights, file: VolumeFile, tag: str, name: str
) -> Response:
    """A volume, sent slab by slab; its first slab is read before anything is sent.

    Raises:
        Problem: 503, too many are being sent.
    """
    told = {
        **headers_of(tag),
        "content-length": str(file.size),
        "content-disposition": f"inline; filename*=UTF-8''{quote(name)}",
    }
    if request.scope.get(IS_HEAD):
        return Response(headers=told, media_type=NIFTI)
    sights.begin_volume()
    try:
        pieces = file.pieces()
        first = await sights.work(lambda: next(pieces, b"") + next(pieces, b""))
        return _Volume(sights, _pieces(sights, first, pieces), told)
    except BaseException:
        sights.end_volume()
        raise


class _Volume(StreamingResponse):
    """A volume that is under way until it is sent, or until its client is gone."""

    def __init__(
        self, sights: Sights, pieces: AsyncIterator[bytes], headers: dict[str, str]
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=NIFTI)
        self._sights = sights

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._sights.end_volume()


async def _pieces(sights: Sights, first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    piece: bytes | None = first
    while piece is not None:
        yield piece
        piece = await sights.work(lambda: next(rest, None))
