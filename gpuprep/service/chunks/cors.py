"""Which pages of other origins may read answers: an allow-list, without cookies.

It stands around the handling of errors, for a page must see a 404 to know that a chunk is not stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = "GET, HEAD, OPTIONS"
_ASKED = "Authorization, If-Match, If-Modified-Since, If-None-Match, If-Range, Range"
_SHOWN = "Accept-Ranges, Content-Length, Content-Range, ETag, Last-Modified, Server-Timing"
_KEPT = "600"  # seconds a browser remembers what a preflight said


class Cors:
    """Lets pages of these origins (``https://viewer.example``) read the answers of an app, and no others.

    A preflight is answered here, 204 whatever it asks for; without an allowed origin it allows nothing.
    """

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if self._origins else None
        allowed = origin if origin in self._origins else None

        async def with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if allowed is not None:
                    headers["Access-Control-Allow-Origin"] = allowed
                    headers["Access-Control-Expose-Headers"] = _SHOWN
            await send(message)

        out = with_cors if self._origins else send
        if scope["method"] != "OPTIONS":
            await self._app(scope, receive, out)
            return
        headers = [(b"allow", _METHODS.encode())]
        if allowed is not None:
            headers += [
                (b"access-control-allow-methods", _METHODS.encode()),
                (b"access-control-allow-headers", _ASKED.encode()),
                (b"access-control-max-age", _KEPT.encode()),
            ]
        await out({"type": "http.response.start", "status": 204, "headers": headers})
        await out({"type": "http.response.body", "body": b""})
