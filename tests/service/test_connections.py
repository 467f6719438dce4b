"""Connections that say nothing, or too slowly, and what is no HTTP."""

import asyncio
import json

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from gpuprep.service.door import connections
from gpuprep.service.door.connections import Connection, Gathered
from gpuprep.service.door.verbs import Heads


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
    monkeypatch.setattr(connections, "HEADER_BYTES", 4000)

    async def talk(pieces: list[bytes]) -> bytes:
        config = uvicorn.Config(answer, lifespan="off", ws="none")
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


def test_headers_may_have_so_many_bytes_and_no_more(said) -> None:
    lines = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: %s\r\n\r\n"
    assert said(lines % (b"y" * 3900)).endswith(b"ok")
    assert b'"E_HTTP"' in said(lines % (b"y" * 4000))


def test_many_requests_at_once_are_each_as_short_as_they_are(said) -> None:
    one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n%s\r\n" + b"z" * 900
    answers = said(one % b"" * 8 + one % b"Connection: close\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 9


def test_a_body_that_nobody_reads_is_no_header(said, monkeypatch) -> None:
    """A refusal does not wait for an upload; what comes of that afterwards is passed over."""

    async def refusal(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    monkeypatch.setitem(globals(), "answer", refusal)
    upload = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = said(upload, b"z" * 9000, b"z" * 11000, last)
    assert answers.count(b"HTTP/1.1 401") == 2
    assert b"HTTP/1.1 400" not in answers


def test_who_would_rather_speak_another_protocol_is_answered_in_this_one(said) -> None:
    """Java's own client asks so for HTTP/2, and goes on in HTTP/1.1."""
    asks = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQC\r\n"
    )
    first = b"GET / HTTP/1.1\r\nHost: x\r\n%s\r\n" % asks
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert said(first, *[b""] * 8, last).count(b"HTTP/1.1 200 OK") == 2


HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"


@pytest.mark.parametrize("to", [b"websocket", b"h2c"])
@pytest.mark.parametrize("together", [True, False])
def test_no_request_hides_in_the_body_of_an_upgrade(said, monkeypatch, to, together) -> None:
    paths = []

    async def noting(scope, receive, send) -> None:
        paths.append(scope["path"])
        await answer_at_once(scope, receive, send)

    monkeypatch.setitem(globals(), "answer", noting)
    for head, body in (
        (b"Content-Length: %d\r\n\r\n" % len(HIDDEN), HIDDEN),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
    ):
        pieces = [UPGRADE % to + head, body]
        told = said(b"".join(pieces)) if together else said(*pieces)
        assert told.startswith(b"HTTP/1.1 400")
        assert told.count(b"HTTP/1.1 ") == 1
    assert paths == []


async def answer_at_once(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


def test_a_head_has_no_body_and_the_next_answer_is_its_own(said, monkeypatch) -> None:
    api = FastAPI()

    @api.get("/{name}")
    async def told(name: str) -> str:
        return name

    monkeypatch.setitem(globals(), "answer", Heads(api))
    head = b"HEAD /first HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for pieces in ([head, last], [head + last]):
        first, second, *rest = said(*pieces).split(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 OK")
        assert b"content-length: 7" in first  # "first" as JSON
        assert second.startswith(b"HTTP/1.1 200 OK")
        assert rest == [b'"second"']


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_trailers_are_nobodys_headers(said, monkeypatch) -> None:
    headers = []

    async def noting(scope, receive, send) -> None:
        await answer(scope, receive, send)
        headers.extend(scope["headers"])

    answer = globals()["answer"]
    monkeypatch.setitem(globals(), "answer", noting)
    trailers = b"0\r\nAuthorization: Bearer other\r\nX-Forwarded-For: other\r\n\r\n"
    assert said(CHUNKED, b"3\r\nabc\r\n", trailers).endswith(b"ok")
    assert [name for name, _ in headers] == [b"host", b"connection", b"transfer-encoding"]


def test_trailers_may_have_so_many_bytes_and_no_more(said) -> None:
    lines = [b"X-%d: %s\r\n" % (number, b"y" * 800) for number in range(8)]
    assert said(CHUNKED, b"0\r\n", *lines[:4], b"\r\n").endswith(b"ok")
    told = said(CHUNKED, b"0\r\n", b"".join(lines[:4]), b"".join(lines[4:]))
    assert told.startswith(b"HTTP/1.1 400")
    assert told.count(b"HTTP/1.1 ") == 1


def test_a_refusal_is_never_written_into_an_answer_under_way(said, monkeypatch) -> None:
    async def halves(scope, receive, send) -> None:
        length = [(b"content-length", b"900")]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await asyncio.sleep(0.15)
        await send({"type": "http.response.body", "body": b"z" * 896})

    monkeypatch.setitem(globals(), "answer", halves)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    told = said(request, b"nonsense\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 200 OK")
    assert told.endswith(b"\r\n\r\nhalf")


def test_a_refusal_is_no_answer_to_the_request_before(said) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert said(request, b"nonsense\r\n\r\n") == b""
    assert said(request + b"nonsense\r\n\r\n") == b""


def test_a_body_that_is_none_has_one_answer(said) -> None:
    told = said(CHUNKED, b"3\r\nabc\r\n", b"nonsense\r\n", *[b""] * 6)
    assert told.startswith(b"HTTP/1.1 400")
    assert told.count(b"HTTP/1.1 ") == 1


class Written:
    """Stands for a transport, and keeps what is written piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(data)

    def close(self) -> None:
        self.pieces.append(b"closed")


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
LARGE = b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("pieces", "together"),
    [
        ([HEAD, b"body"], [HEAD + b"body"]),
        ([HEAD, LARGE], [HEAD, LARGE]),
        ([HEAD, b"", HEAD, b"next", b"more"], [HEAD, HEAD + b"next", b"more"]),
        ([HEAD, HEAD], [HEAD + HEAD]),
    ],
)
def test_head_and_body_go_together(pieces: list[bytes], together: list[bytes]) -> None:
    async def written() -> list[bytes]:
        transport = Written()
        gathered = Gathered(transport, asyncio.get_running_loop())
        for piece in pieces:
            gathered.write(piece)
        gathered.close()
        return transport.pieces

    assert asyncio.run(written()) == [*together, b"closed"]


def test_a_head_does_not_wait_for_a_body_that_is_to_come() -> None:
    async def written() -> list[bytes]:
        transport = Written()
        Gathered(transport, asyncio.get_running_loop()).write(HEAD)
        await asyncio.sleep(0)
        return transport.pieces

    assert asyncio.run(written()) == [HEAD]
