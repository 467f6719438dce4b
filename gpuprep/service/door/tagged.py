"""Answers in JSON with a tag of what they say, so that whoever asks again is told when nothing is new."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gpuprep.service.chunks.conditions import decide

UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "As If-None-Match has it"}}
"""For a route's ``responses``."""


def tagged(request: Request, body: BaseModel) -> Response:
    """A body with its ETag, or 304 where ``If-None-Match`` names that."""
    content = body.model_dump_json().encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    given = request.headers.get("if-none-match")
    asked = {} if given is None else {"if-none-match": given}
    verdict = decide("HEAD", asked, etag=tag, modified=0, size=len(content), now=time.time())
    if verdict.status == 304:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(content, headers={"ETag": tag}, media_type="application/json")
