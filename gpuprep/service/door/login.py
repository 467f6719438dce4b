"""Logging a browser in by the link that the service printed, and out again."""

from __future__ import annotations

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from gpuprep.service.door.access import COOKIE, Sessions
from gpuprep.service.door.verbs import IS_HEAD
from gpuprep.service.problems import Problem, told


def add_login(api: FastAPI, sessions: Sessions, *, secure: bool) -> None:
    """Add ``/login`` and ``/logout``; ``secure`` cookies travel by TLS alone."""

    @api.get("/login", status_code=303, include_in_schema=False, responses=told(403))
    async def login(request: Request, code: str) -> Response:
        """Open a session with the link that the service printed."""
        if request.scope.get(IS_HEAD):  # whoever shows a preview of links uses none up
            return Response(status_code=204)
        cookie = sessions.open(code)
        if cookie is None and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/", 303)  # where a person reads what to do
        if cookie is None:
            raise Problem(
                403,
                "this link was used, or is too old",
                code="E_LINK",
                advice="start the service anew for another",
            )
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure, path="/")
        return answer

    @api.post("/logout", status_code=204, include_in_schema=False)
    async def logout(request: Request) -> Response:
        sessions.end(request.cookies.get(COOKIE, ""))
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, path="/")
        return answer
