"""Connections that say nothing, or too slowly, and what is no HTTP."""

import asyncio
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from gpuprep.service.door import connections
from gpuprep.service.door.connections import Connection


async def answer(scope, receive, send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    await asyncio.sleep(0.15)  # longer than headers may take
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    )
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def said(monkeypatch):
    """What a client gets that sends some pieces, each a while after the other, until the end."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.1)

    async def talk(pieces: list[bytes]) -> bytes:
        config = uvicorn.Config(
            answer, lifespan="off", ws="none", h11_max_incomplete_event_size=4000
        )
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.04)
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()
            server.close()

    return lambda *pieces: asyncio.run(talk(list(pieces)))


def test_a_connection_that_says_nothing_is_closed(said) -> None:
    assert said() == b""


def test_headers_that_trickle_in_are_not_waited_for(said) -> None:
    assert said(b"GET / HTTP/1.1\r\n", *[b"X: y\r\n"] * 20) == b""


def test_an_answer_may_take_its_time_and_the_next_request_too(said) -> None:
    first = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
    rest = [b"a", b"b", b"c", b"d", *[b""] * 8]
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert said(first, *rest, last).count(b"\r\n\r\nok") == 2


NO_HTTP = [
    b"nonsense\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000,
]


@pytest.mark.parametrize("text", NO_HTTP, ids=["words", "no host", "long"])
def test_what_is_no_http_is_a_problem(said, text: bytes) -> None:
    head, _, body = said(text).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "E_HTTP"
