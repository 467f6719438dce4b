"""Requests to a service: where they may go, which are tried again, and what a refusal means."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from gpuprep.values.errors import ServiceError, UsageError
from gpuprep.values.version import __version__

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
_PASSING = frozenset({429, 502, 503, 504})
"""Answers after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked; asking twice does no more than asking once."""

    method: str
    path: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of httpx: ``params``, ``json``, ``content``, ``headers``, ``timeout``."""
    file: Path | None = None
    """The body, opened anew at every try."""


class Patience:
    """Waits between tries, each about twice the last, until ``seconds`` have passed without success."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.refresh()

    def refresh(self) -> None:
        """Begin anew: something came through."""
        self._wait = _FIRST_WAIT
        self.extend()

    def extend(self) -> None:
        """Be patient for as long again; the waits stay as long as they have become."""
        self._until = time.monotonic() + self._seconds

    def bears(self, error: ServiceError, at_least: float = 0.0) -> None:
        """Wait a little, and at least so long; raises the error where that would be too long."""
        wait = max(at_least, self._wait * random.uniform(0.5, 1.0))
        if time.monotonic() + wait > self._until:
            raise error
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        time.sleep(wait)


class Connection:
    """The way to one service, with the token that goes along."""

    def __init__(
        self, url: str, token: str | None, *, insecure: bool, patience: float, timeout: float
    ) -> None:
        self.url = checked_url(url, has_token=bool(token), insecure=insecure)
        self.patience = patience
        headers = {"User-Agent": f"gpuprep/{__version__}", "Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {_plain(token)}"
        is_here = urlsplit(self.url).hostname in LOOPBACK
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
            follow_redirects=False,  # the token is for this host alone
            trust_env=not is_here,  # a proxy has no business on loopback
            verify=ssl.create_default_context(),  # of the system, where a hospital keeps its own
        )

    def close(self) -> None:
        self._http.close()

    def ask(self, request: Request) -> httpx.Response:
        """The answer to a request that was granted.

        Raises:
            ServiceError: it was refused, or there was no answer for as long as patience lasts.
        """
        patience = Patience(self.patience)
        while True:
            error, waits = None, 0.0
            try:
                answer = self._send(request)
            except httpx.TransportError as problem:
                error = _unreachable(self.url, problem)
            else:
                if answer.is_success:
                    return answer
                error = refusal(answer)
                if answer.status_code not in _PASSING:
                    raise error
                waits = _retry_after(answer)
            patience.bears(error, waits)

    def _send(self, request: Request) -> httpx.Response:
        if request.file is None:
            return self._http.request(request.method, request.path, **request.options)
        with request.file.open("rb") as body:
            return self._http.request(request.method, request.path, content=body, **request.options)

    def json(self, request: Request) -> Any:
        """The JSON in the answer. Raises ServiceError as ``ask`` does, and where there is none."""
        answer = self.ask(request)
        try:
            return answer.json()
        except ValueError:
            raise ServiceError(
                f"{self.url} answered without JSON",
                advice="check the address: something else may answer there",
                code="E_ANSWER",
                status=answer.status_code,
            ) from None

    @contextmanager
    def stream(self, request: Request) -> Iterator[httpx.Response]:
        """An answer while it comes; it is asked for once.

        Raises:
            ServiceError: it was refused, or broke off.
        """
        try:
            with self._http.stream(request.method, request.path, **request.options) as answer:
                if not answer.is_success:
                    answer.read()
                    raise refusal(answer)
                yield answer
        except httpx.TransportError as problem:
            raise _unreachable(self.url, problem) from None


def checked_url(url: str, *, has_token: bool, insecure: bool) -> str:
    """The address of a service without a slash at its end.

    Raises:
        UsageError: it is none, holds a password, or the token would go unencrypted to another machine.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "the address of a service must not hold a user, a password or a query",
            advice="give token=… or set GPUPREP_TOKEN",
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{url!r} is not the address of a service",
            advice="give the one that gpuprep serve prints, such as http://127.0.0.1:8080",
        )
    if parts.scheme == "http" and has_token and not insecure and parts.hostname not in LOOPBACK:
        raise UsageError(
            f"http://{parts.hostname}: anybody on the way could read the token",
            advice="use https://, or set GPUPREP_ALLOW_HTTP=true on a network that you trust",
        )
    return url.rstrip("/")


def refusal(answer: httpx.Response) -> ServiceError:
    """The error that an answer is: the service's own words, or what the status says."""
    status = answer.status_code
    if answer.is_redirect:
        return ServiceError(
            f"{answer.request.url.host} sends to another address, which is not followed",
            advice="give the address of the service itself",
            code="E_REDIRECT",
            status=status,
        )
    try:
        problem = answer.json()
        words = str(problem.get("detail") or problem["title"])
        told = {name: str(problem.get(name, "")) for name in ("advice", "code")}
    except (ValueError, KeyError, TypeError, AttributeError):
        words, told = (
            f"answered {status} {answer.reason_phrase}".strip(),
            {"advice": "", "code": ""},
        )
    return ServiceError(words, **told, status=status)


def _unreachable(url: str, problem: httpx.TransportError) -> ServiceError:
    reason = str(problem) or type(problem).__name__
    return ServiceError(
        f"{url} cannot be reached: {reason}",
        advice="see whether the service runs, and whether the address is right",
        code="E_UNREACHABLE",
    )


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdecimal() else 0.0


def _plain(token: str) -> str:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise UsageError("the token holds a character that no token has")
    return token
