"""Whom a token or a session stands for, and what a route may ask of it."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from gpuprep.service.door.tokens import Principal, Scope, Tokens, hashed
from gpuprep.service.problems import Problem

COOKIE = "gpuprep_session"
_SESSION_SECONDS = 12 * 3600.0
_LINK_SECONDS = 600.0
_MOST_SESSIONS = 1000


class Sessions:
    """Links that log a browser in once, and the sessions that they open; both are kept as hashes only."""

    def __init__(self) -> None:
        self._links: dict[str, tuple[float, Principal]] = {}
        self._sessions: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def link(self, principal: Principal) -> str:
        """A code that opens one session, for ten minutes."""
        code = secrets.token_urlsafe(32)
        self._links[hashed(code)] = time.monotonic() + _LINK_SECONDS, principal
        return code

    def open(self, code: str) -> str | None:
        """The cookie of a new session; None where the code is used up, too old or none."""
        until, principal = self._links.pop(hashed(code), (0.0, None))
        if principal is None or until < time.monotonic():
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[hashed(cookie)] = time.monotonic() + _SESSION_SECONDS, principal
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Principal | None:
        until, principal = self._sessions.get(hashed(cookie), (0.0, None))
        return principal if until > time.monotonic() else None

    def end(self, cookie: str) -> None:
        self._sessions.pop(hashed(cookie), None)


class Access:
    """Finds out who asks, and refuses those who may not."""

    def __init__(self, tokens: Tokens, sessions: Sessions) -> None:
        self._tokens = tokens
        self.sessions = sessions

    def who(self, request: Request) -> Principal:
        """Whoever asks.

        Raises:
            Problem: 401, it is nobody known.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        found = None
        if kind.lower() == "bearer" and token:
            found = self._tokens.find(token.strip())
        elif not kind and COOKIE in request.cookies:
            found = self.sessions.find(request.cookies[COOKIE])
        if found is None:
            raise Problem(
                401,
                "a token is needed",
                code="E_TOKEN",
                advice="send 'Authorization: Bearer TOKEN'; gpuprep serve token NAME makes one",
                headers={"WWW-Authenticate": 'Bearer realm="gpuprep"'},
            )
        request.scope["gpuprep.principal"] = found.name  # for the audit log
        return found

    def stands(self, request: Request) -> bool:
        """Whether whoever asked may still ask: its token is not revoked, its session not over."""
        try:
            self.who(request)
        except Problem:
            return False
        return True

    def needs(self, request: Request, scope: Scope) -> Principal:
        """Whoever asks, if it has a scope. Raises Problem 401 or 403."""
        found = self.who(request)
        if not found.has(scope):
            raise Problem(403, f"the token of {found.name} may only {found.scope}", code="E_SCOPE")
        return found


def reader(request: Request) -> Principal:
    """Whoever asks, if it may read."""
    access: Access = request.app.state.access
    return access.needs(request, "read")


def submitter(request: Request) -> Principal:
    """Whoever asks, if it may submit."""
    access: Access = request.app.state.access
    return access.needs(request, "submit")


Reader = Annotated[Principal, Depends(reader)]
Submitter = Annotated[Principal, Depends(submitter)]
bearer = Depends(
    HTTPBearer(auto_error=False, description="A token that `gpuprep serve token NAME` printed.")
)
"""Says in the API's description that a token is needed."""
