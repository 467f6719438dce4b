"""Who is let in: the checks that come before every route, and whom a token or a session stands for."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request

from gpuprep.config.cluster import is_loopback
from gpuprep.service.problems import Problem, problem_response
from gpuprep.service.settings import Settings
from gpuprep.service.tokens import Principal, Scope, Tokens, hashed

COOKIE = "gpuprep_session"
_SESSION_SECONDS = 12 * 3600.0
_LINK_SECONDS = 600.0
_MOST_SESSIONS = 1000
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'self'; script-src 'self'; object-src 'none'; "
    b"base-uri 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
}


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
bearer = Depends(HTTPBearer(auto_error=False))
"""Says in the API's description that a token is needed."""


class Guard:
    """An ASGI layer around the whole app: hosts, origins, sizes and headers, before anything is looked up."""

    def __init__(self, app: Any, settings: Settings, upload: str) -> None:
        self._app = app
        self._names = {name.lower() for name in settings.names}
        self._limits = settings.limits
        self._upload = upload
        self._scheme = "https" if settings.tls_certificate or settings.behind_proxy else "http"

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = _headers(scope)
            self._check_host(headers)
            if scope["method"] not in _SAFE:
                self._check_origin(headers)
            receive = self._limited(scope, headers, receive)
        except Problem as problem:
            await problem_response(problem)(scope, receive, _with_headers(send))
            return
        await self._app(scope, receive, _with_headers(send))

    def _check_host(self, headers: Mapping[str, str]) -> None:
        """A page elsewhere that had its name lead to this host (DNS rebinding) is told nothing."""
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        if not (is_loopback(host) or host.lower() in self._names):
            raise Problem(
                421,
                f"this service does not answer to the name {host!r}",
                code="E_HOST",
                advice="its operator lists names in the settings: names",
            )

    def _check_origin(self, headers: Mapping[str, str]) -> None:
        """No page of another origin changes anything, whatever cookies its visitor has."""
        site = headers.get("sec-fetch-site", "none")
        origin = headers.get("origin")
        own = f"{self._scheme}://{headers.get('host', '')}"
        if site not in ("none", "same-origin") or (origin is not None and origin != own):
            raise Problem(403, "a page of another origin may not do this", code="E_ORIGIN")
        if (
            origin is None
            and site == "none"
            and "cookie" in headers
            and "authorization" not in headers
        ):
            raise Problem(403, "a session must say where its request comes from", code="E_ORIGIN")

    def _limited(self, scope: Connection, headers: Mapping[str, str], receive: Receive) -> Receive:
        """A body is at most as long as the settings say, whatever it claims to be."""
        most = int(self._limits.upload if scope["path"] == self._upload else self._limits.body)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > most:
            raise _too_long(most)
        read = 0

        async def limited() -> MutableMapping[str, Any]:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise _too_long(most)
            return message

        return limited


def _too_long(most: int) -> Problem:
    return Problem(
        413,
        f"a body may have {most:,} bytes here",
        code="E_TOO_LONG",
        headers={"Connection": "close"},
    )


def _headers(scope: Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in ("host", "origin", "content-length", "authorization") and key in found:
            raise Problem(400, f"there are two headers {key}", code="E_HEADERS")
        found[key] = value.decode("latin-1")
    return found


def _with_headers(send: Send) -> Send:
    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((name, value) for name, value in HEADERS.items() if name not in present),
            ]
        await send(message)

    return sent
