"""Streams of events end with the right to read them."""

import asyncio
import json

from support.service_app import App

from gpuprep.service.door.tokens import Principal, Tokens


def test_a_stream_ends_when_its_token_is_revoked(tmp_path) -> None:
    app = App(tmp_path / "folder")
    token = app.service.tokens.add(Principal("anna"))
    path = app.folder / "events.jsonl"

    def happens(event: str) -> None:
        with path.open("a") as file:
            file.write(
                json.dumps({"event": event, "job": "x", "owner": "anna", "cohort": "c"}) + "\n"
            )

    sent: list[bytes] = []
    body = [{"type": "http.request", "body": b""}]

    async def followed() -> None:
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
        scope = {
            **{"type": "http", "http_version": "1.1", "scheme": "http", "root_path": ""},
            **{"method": "GET", "path": "/v1/events", "raw_path": b"/v1/events"},
            **{"query_string": b"", "headers": headers, "client": ("127.0.0.1", 1)},
            "server": ("127.0.0.1", 8000),
        }

        async def receive():
            return body.pop() if body else await asyncio.Event().wait()

        async def send(message) -> None:
            sent.append(message.get("body", b""))
            if b"first" in message.get("body", b""):
                Tokens(app.folder).revoke("anna")
                happens("second")

        happens("first")
        watch = asyncio.ensure_future(app.service.feeds.watch())
        async with asyncio.timeout(20):
            await app.service.app(scope, receive, send)
        watch.cancel()

    asyncio.run(followed())
    told = b"".join(sent)
    assert b"first" in told
    assert b"second" not in told
    assert app.service.feeds.readers == 0
