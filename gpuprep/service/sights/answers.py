"""Answers that a browser may keep, each under a tag of what they were made from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

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
    """A volume, sent slab by slab; its first slab is read before anything is sent."""
    told = {
        **headers_of(tag),
        "content-length": str(file.size),
        "content-disposition": f"inline; filename*=UTF-8''{quote(name)}",
    }
    if request.scope.get(IS_HEAD):
        return Response(headers=told, media_type=NIFTI)
    pieces = file.pieces()
    first = await sights.work(lambda: next(pieces, b"") + next(pieces, b""))
    return StreamingResponse(_pieces(sights, first, pieces), headers=told, media_type=NIFTI)


async def _pieces(sights: Sights, first: bytes, rest: Iterator[bytes]) -> AsyncIterator[bytes]:
    piece: bytes | None = first
    while piece is not None:
        yield piece
        piece = await sights.work(lambda: next(rest, None))
