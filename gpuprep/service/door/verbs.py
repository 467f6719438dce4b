"""Which verbs a path takes: told in ``Allow``, and HEAD wherever there is GET."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

VERBS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
IS_HEAD = "gpuprep.head"
"""In the scope of a request for headers alone, for answers that would never end."""


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The verbs that some route takes at a path, HEAD wherever there is GET.

    Starlette tells those of the first route alone.
    """
    found = {verb for verb in VERBS if _takes(app, path, verb)}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def _takes(app: FastAPI, path: str, verb: str) -> bool:
    scope = {"type": "http", "path": path, "root_path": "", "headers": [], "method": verb}
    return any(route.matches(scope)[0] == Match.FULL for route in app.router.routes)


class Heads:
    """An ASGI layer that answers HEAD as GET where no route does so; the server leaves out the body."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            path: str = scope["path"]
            if not _takes(self._app, path, "HEAD") and _takes(self._app, path, "GET"):
                scope["method"] = "GET"
                scope[IS_HEAD] = True
                await self._app(scope, receive, _as_head(scope, send))
                return
        await self._app(scope, receive, send)


def _as_head(scope: Scope, send: Send) -> Send:
    """The server leaves out a body where the scope, which it goes by when it sends, says HEAD."""

    async def sent(message: Message) -> None:
        scope["method"] = "HEAD"
        await send(message)

    return sent
