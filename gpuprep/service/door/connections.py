"""Connections of clients, which have bounded time and room to say what they ask for."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gpuprep.service.problems import Problem, problem_response

HEADER_SECONDS = 20.0
HEADER_BYTES = 64 << 10
_BODY = frozenset({b"content-length", b"transfer-encoding"})
_TOGETHER = 64 << 10  # bytes that are copied to go in one write with the head


class Connection(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it; one whose request line and headers do not come is closed.

    uvicorn itself waits for them for ever, and each such connection costs a descriptor. It also takes as
    many of them as there are, and a request without a host.
    """

    _patience: asyncio.TimerHandle | None = None
    _beside = 0
    """Bytes that came and are of no body: of headers, trailers, or what is written between chunks."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(Gathered(transport, self.loop))  # type: ignore[arg-type]
        self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._beside += len(data)
        super().data_received(data)
        if self._beside > HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"the headers have more than {HEADER_BYTES:,} bytes")
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        if self._beside > HEADER_BYTES and self._size() > HEADER_BYTES:
            raise ValueError("too long headers")  # which becomes a 400, as does the next
        if b"host" not in [name for name, _ in self.headers]:
            raise ValueError("no host")
        if self.parser.should_upgrade() and any(name in _BODY for name, _ in self.headers):
            raise ValueError("a body before an upgrade")  # the parser would take it for a request
        self._beside = 0
        super().on_headers_complete()
        self.headers = []  # trailers come into this, and are nobody's

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem, as every other mistake, but never inside another answer."""
        if not self._is_idle:
            cycle = self.cycle
            if (
                cycle.response_started or not cycle.more_body
            ):  # what is wrong came behind that request
                self.transport.close()
                return
            cycle.disconnected = True  # this is its answer
        answer = problem_response(Problem(400, msg, code="E_HTTP"))
        headers = [*answer.raw_headers, (b"connection", b"close")]
        lines = [b"%s: %s\r\n" % each for each in headers]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", answer.body]))
        self.transport.close()

    def _size(self) -> int:
        """Bytes of a request's line and headers; what came in may have been several requests."""
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    @property
    def _is_idle(self) -> bool:
        """Whether no request is under way whose headers are whole."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_for_headers(self) -> None:
        """Begin to wait where a request is not whole yet, and go on waiting where that has begun."""
        if not self._is_idle:
            self._stop_waiting()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        if self._is_idle and not self.transport.is_closing():
            self.transport.close()


class Gathered:
    """A transport that sends the head of an answer together with what follows at once.

    One packet wakes a client once, and costs the service one call of the system instead of two.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head and len(data) <= _TOGETHER:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._flush()
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._flush()
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)
