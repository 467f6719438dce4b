"""What comes before every route: hosts, origins, sizes, times and headers, whoever asks."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpuprep.config.cluster import is_loopback
from gpuprep.service.problems import Problem, problem_response
from gpuprep.service.settings import EVERYWHERE, Settings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # what a page asks by OPTIONS, it asks of CORS
_ONCE = frozenset(
    (
        *("host", "origin", "content-length", "content-type", "authorization"),
        *("transfer-encoding", "sec-fetch-site", "idempotency-key", "x-forwarded-host"),
    )
)
"""Headers that mean two things where they come twice."""
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?", re.ASCII | re.IGNORECASE)
_HOSTS = 64  # whose names are known for the service's own, or not
_PORTS = {"http": "80", "https": "443"}

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'self'; script-src 'self'; object-src 'none'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",  # about patients; what may be kept says so itself
}


class Guard:
    """An ASGI layer around the whole app, before anything is looked up."""

    def __init__(self, app: ASGIApp, settings: Settings, upload: str) -> None:
        self._app = app
        self._names = {_plain(name) for name in (*settings.names, settings.host)} - EVERYWHERE
        self._is_own = lru_cache(_HOSTS)(self._answers_to)
        self._limits = settings.limits
        self._upload = upload
        self._behind_proxy = settings.behind_proxy
        self._scheme = "https" if settings.tls_certificate or settings.behind_proxy else "http"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        try:
            headers = _headers(scope)
            host = self._host(headers)
            if scope["method"] not in _SAFE:
                self._check_origin(headers, host)
            receive = self._limited(scope, headers, receive)
            if self._behind_proxy:
                _note_client(scope, headers)
        except Problem as problem:
            scope["gpuprep.refused"] = problem.code
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _host(self, headers: Mapping[str, str]) -> str:
        """The host that was asked for. A page elsewhere that had its name lead to this host (DNS
        rebinding) is told nothing.
        """
        asked = [headers.get("host", "")]
        if self._behind_proxy and "x-forwarded-host" in headers:
            asked.append(headers["x-forwarded-host"])
        for each in asked:
            if not self._is_own(each):
                raise Problem(
                    421,
                    f"this service does not answer to the name {each[:200]!r}",
                    code="E_HOST",
                    advice="its operator lists names in the settings: names",
                )
        return asked[-1]

    def _answers_to(self, asked: str) -> bool:
        found = _HOST.fullmatch(asked)
        name = _plain(found[1]) if found else ""
        return is_loopback(name) or name in self._names

    def _check_origin(self, headers: Mapping[str, str], host: str) -> None:
        """No page of another origin changes anything, whatever cookies its visitor has."""
        site = headers.get("sec-fetch-site", "none")
        origin = headers.get("origin")
        own = _origin(f"{self._scheme}://{host}")
        if site not in ("none", "same-origin") or (origin is not None and _origin(origin) != own):
            raise Problem(403, "a page of another origin may not do this", code="E_ORIGIN")
        says_where = origin is not None or site == "same-origin"
        if "cookie" in headers and "authorization" not in headers and not says_where:
            raise Problem(403, "a session must say where its request comes from", code="E_ORIGIN")

    def _limited(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Receive:
        """A body is at most as long, and takes as long, as the settings say, whatever it claims to be."""
        is_upload = scope["path"] == self._upload
        limits = self._limits
        most = int(limits.upload if is_upload else limits.body)
        seconds = limits.upload_seconds if is_upload else limits.body_seconds
        length = headers.get("content-length", "0")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise Problem(400, "a body has a length or is chunked, not both", code="E_HEADERS")
        if not (length.isascii() and length.isdecimal()):
            raise Problem(400, f"Content-Length {length[:50]!r} is none", code="E_HEADERS")
        if len(length) > 18 or int(length) > most:
            raise _too_long(most)
        return _Body(receive, most, seconds)


class _Body:
    """A request's body as it comes in, within limits."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive = receive
        self._most = most
        self._seconds = seconds
        self._until: float | None = None
        self._read = 0
        self._is_whole = False

    async def __call__(self) -> Message:
        if self._is_whole:  # what comes now is the client's leaving
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._until = self._until or now + self._seconds
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise Problem(
                408,
                f"the request's body took longer than {self._seconds:g} s",
                code="E_TOO_SLOW",
                headers={"Connection": "close"},
            ) from None
        self._read += len(message.get("body", b""))
        if self._read > self._most:
            raise _too_long(self._most)
        self._is_whole = not message.get("more_body", False)
        return message


def _too_long(most: int) -> Problem:
    close = {"Connection": "close"}
    return Problem(413, f"a body may have {most:,} bytes here", code="E_TOO_LONG", headers=close)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in _ONCE and key in found:
            raise Problem(400, f"there are two headers {key}", code="E_HEADERS")
        found[key] = value.decode("latin-1").strip()
    return found


def _note_client(scope: Scope, headers: Mapping[str, str]) -> None:
    """Whom the proxy speaks for: the last address of its header, the only one that it wrote itself."""
    last = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    try:
        scope["gpuprep.client"] = str(ipaddress.ip_address(last))
    except ValueError:
        return


def _plain(name: str) -> str:
    """A host's name as it is compared."""
    return name.lower().strip("[]").removesuffix(".")


def _origin(text: str) -> tuple[str, str, str]:
    """Scheme, host and port of an origin, as they are compared; one that is none equals no other."""
    scheme, _, rest = text.partition("://")
    found = _HOST.fullmatch(rest)
    if found is None or scheme.lower() not in _PORTS:
        return text, "", ""
    scheme = scheme.lower()
    return scheme, _plain(found[1]), str(int(found[2] or _PORTS[scheme]))


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((name, value) for name, value in HEADERS.items() if name not in present),
            ]
        await send(message)

    return sent
