"""The short way to a chunk: past the router and its layers, which take longer than reading the chunk does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gpuprep.service.chunks.cors import Cors

Answer = Callable[[Request], Awaitable[Response]]


class Lane:
    """An ASGI layer around an app with ``chunk_routes``: a GET that is one of theirs is answered here.

    It is answered as there, errors too; whatever else is asked for, the app is asked.
    """

    def __init__(
        self,
        app: ASGIApp,
        answers: Mapping[str, Answer],
        handlers: Mapping[Any, Callable[..., Any]],
        *,
        cors: Sequence[str] = (),
    ) -> None:
        """Answers by what stands behind ``/v1/``, and by class of an error what makes an answer of it."""
        self._app = app
        self._answers = answers
        self._handlers = handlers
        self._inner: ASGIApp = Cors(self._reply, cors) if cors else self._reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "GET":
            parts = scope["path"].split("/", 4)  # as in /v1/zarr/cohort/cases/a.zarr/zarr.json
            if (
                len(parts) == 5
                and parts[2] in self._answers
                and parts[1] == "v1"
                and parts[3]
                and "\n" not in parts[4]
            ):
                scope["path_params"] = {"cohort": parts[3], "path": parts[4]}
                await self._inner(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _reply(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        answer = self._answers[scope["path"].split("/", 3)[2]]
        try:
            response = await answer(request)
        except Exception as error:
            kind = next(kind for kind in type(error).__mro__ if kind in self._handlers)
            response = await self._handlers[kind](request, error)
            if kind is Exception:  # nobody expected it: the server is to write it down
                await response(scope, receive, send)
                raise
        await response(scope, receive, send)
