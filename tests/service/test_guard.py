"""What comes before every route: whatever is asked, of which host, from which page, and how much of it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from support.service_app import HERE, App

from gpuprep.service.door.guard import Guard
from gpuprep.service.door.tokens import Principal
from gpuprep.service.settings import Settings

ADMIN = Principal("boss", "admin")
CHANGING = ("POST", "PUT", "PATCH", "DELETE", "PURGE")


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    settings = {"names": ["prep.hospital.example"], "limits": {"body": 2000}}
    return App(tmp_path_factory.mktemp("service") / "folder", **settings)


def test_only_names_of_the_service_are_answered(app: App) -> None:
    client = app.client()

    def status(host: str) -> int:
        return client.get("/health/live", headers={"Host": host}).status_code

    own = ("127.0.0.1", "127.0.0.1:8000", "localhost:1", "LocalHost.", "[::1]:8000", "127.9.9.9")
    assert {host: status(host) for host in own} == dict.fromkeys(own, 200)
    listed = ("prep.hospital.example", "PREP.Hospital.Example:443", "prep.hospital.example.")
    assert {host: status(host) for host in listed} == dict.fromkeys(listed, 200)
    others = (
        *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("user@localhost", "evil.example@127.0.0.1", "127.0.0.1/x", "[::1", "[::2]", "", " ", "1"),
        *("0.0.0.0", "169.254.169.254", "xprep.hospital.example", "127.0.0.1:80:80", "a" * 300),
    )
    assert {host: status(host) for host in others} == dict.fromkeys(others, 421)


def test_a_request_without_a_host_is_not_answered(app: App) -> None:
    assert _raw(app.service.app, headers=[]) == (421, "E_HOST")


@pytest.mark.parametrize("verb", CHANGING)
@pytest.mark.parametrize("kind", ["session", "bearer"])
def test_no_page_of_another_origin_changes_anything(app: App, verb: str, kind: str) -> None:
    """DELETE and verbs that nobody uses included; a page may have got hold of a token, too."""
    token = {"Authorization": "Bearer x"} if kind == "bearer" else {"Cookie": "gpuprep_session=x"}

    def code(**headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = app.client().request(verb, "/v1/jobs", headers={**token, **named})
        return answer.json()["code"]

    foreign = ("null", "https://evil.example", "http://127.0.0.1:8001", "https://127.0.0.1:8000")
    for origin in (*foreign, "http://localhost:8000", "http://127.0.0.1:8000.evil.example", ""):
        assert code(Origin=origin) == "E_ORIGIN", origin
    for site in ("cross-site", "same-site", "unheard"):
        assert code(Sec_Fetch_Site=site) == "E_ORIGIN", site
        assert code(Origin=HERE, Sec_Fetch_Site=site) == "E_ORIGIN", site
    assert code(Origin=HERE) != "E_ORIGIN"
    assert code(Origin=HERE, Sec_Fetch_Site="same-origin") != "E_ORIGIN"
    assert (code() == "E_ORIGIN") == (kind == "session")  # a script has a token, and no origin


def test_ports_that_go_without_saying_are_the_same(app: App) -> None:
    headers = {"Host": "prep.hospital.example:80", "Origin": "http://prep.hospital.example"}
    assert app.client().post("/logout", headers=headers).status_code == 204


@pytest.mark.parametrize(
    "name", ["Host", "Origin", "Content-Length", "Authorization", "Sec-Fetch-Site"]
)
def test_a_header_that_comes_twice_means_nothing(app: App, name: str) -> None:
    headers = [(b"host", b"127.0.0.1"), *[(name.encode(), b"127.0.0.1")] * 2]
    if name == "Host":
        headers.pop()
    assert _raw(app.service.app, headers=headers) == (400, "E_HEADERS")


@pytest.mark.parametrize("length", ["-1", "0x10", "1e3", "", "٣", "+5", "1_0"])
def test_a_length_that_is_none(app: App, length: str) -> None:
    headers = [(b"host", b"127.0.0.1"), (b"content-length", length.encode("utf-8"))]
    assert _raw(app.service.app, "POST", headers=headers) == (400, "E_HEADERS")


def test_a_body_is_as_long_as_may_be_whatever_it_says(app: App) -> None:
    client = app.client(Principal("long", "submit"))
    assert client.post("/v1/jobs", content=b" " * 2001).status_code == 413
    assert client.post("/v1/jobs", headers={"Content-Length": "9" * 5000}).status_code == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 700

    answer = client.post("/v1/jobs", content=chunks(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "E_TOO_LONG")
    assert answer.headers["connection"] == "close"
    both = [(b"host", b"127.0.0.1"), (b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
    assert _raw(app.service.app, "POST", headers=both) == (400, "E_HEADERS")


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(tmp_path) -> None:
    app = App(tmp_path / "folder", limits={"body_seconds": 0.05})
    token = app.service.tokens.add(ADMIN)
    headers = [
        (b"host", b"127.0.0.1"),
        (b"content-type", b"application/json"),
        (b"authorization", f"Bearer {token}".encode()),
    ]
    told = _raw(app.service.app, "POST", "/v1/jobs", headers=headers, body=[b"{"])
    assert told == (408, "E_TOO_SLOW")


def test_the_client_s_leaving_may_take_as_long_as_it_likes(tmp_path) -> None:
    """An answer that streams waits for it, long after the body came in whole."""
    left = []

    async def slow(scope, receive, send) -> None:
        await receive()
        left.append(await receive())

    guard = Guard(slow, Settings.model_validate({"limits": {"body_seconds": 0.01}}), "/upload")

    async def asked() -> None:
        messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": b""}]

        async def receive():
            await asyncio.sleep(0.03 if len(messages) == 1 else 0)
            return messages.pop()

        await guard(_scope("GET", "/", [(b"host", b"localhost")]), receive, None)

    asyncio.run(asked())
    assert left == [{"type": "http.disconnect"}]


def test_every_answer_says_what_a_browser_may_do_with_it(app: App) -> None:
    for path, host in (("/health/live", "localhost"), ("/nowhere", "localhost"), ("/", "evil")):
        headers = app.client().get(path, headers={"Host": host}).headers
        assert headers["x-content-type-options"] == "nosniff"
        policy = headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_behind_a_proxy_its_name_and_its_client_count(tmp_path) -> None:
    app = App(tmp_path / "folder", behind_proxy=True, names=["prep.example"])

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.client().post("/logout", headers=named).status_code

    assert status(X_Forwarded_Host="prep.example", Origin="https://prep.example") == 204
    assert status(Host="prep.example", Origin="https://prep.example") == 204
    assert status(Host="prep.example", Origin="http://prep.example") == 403
    assert status(X_Forwarded_Host="prep.example", Origin="https://evil.example") == 403
    assert status(X_Forwarded_Host="evil.example", Origin="https://evil.example") == 421
    assert status(Host="evil.example", X_Forwarded_Host="prep.example") == 421
    assert status(X_Forwarded_For="6.6.6.6, 10.1.2.3") == 204
    assert json.loads(app.audited().splitlines()[-1])["from"] == "10.1.2.3"
    assert status(X_Forwarded_For='10.1.2.3, "><script>') == 204
    assert json.loads(app.audited().splitlines()[-1])["from"] == "127.0.0.1"


def test_without_a_proxy_nobody_speaks_for_another(app: App) -> None:
    headers = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Host": "evil.example"}
    assert app.client().post("/logout", headers=headers).status_code == 204
    assert "10.1.2.3" not in app.audited()


def test_pages_of_listed_origins_read_chunks_and_nothing_else(tmp_path) -> None:
    app = App(tmp_path / "folder", cors=["https://viewer.example"])
    client = app.client(Principal("viewer"))

    def allowed(verb: str, path: str, origin: str) -> str | None:
        headers = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = client.request(verb, path, headers=headers)
        assert "access-control-allow-credentials" not in answer.headers
        return answer.headers.get("access-control-allow-origin")

    chunk, listed = "/v1/zarr/liver/zarr.json", "https://viewer.example"
    for verb in ("GET", "OPTIONS"):
        assert allowed(verb, chunk, listed) == listed
        for other in ("https://evil.example", "null", "http://viewer.example", f"{listed}.evil"):
            assert allowed(verb, chunk, other) is None, (verb, other)
        for path in ("/v1/jobs", "/v1/cohorts", "/metrics", "/", "/login"):
            assert allowed(verb, path, listed) is None, (verb, path)
    assert client.post("/v1/jobs", headers={"Origin": listed}).status_code == 403


def _scope(verb: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict:
    return {
        **{"type": "http", "http_version": "1.1", "scheme": "http", "root_path": ""},
        **{"method": verb, "path": path, "raw_path": path.encode(), "query_string": b""},
        **{"headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)},
    }


def _raw(
    app, verb: str = "GET", path: str = "/health/live", *, headers, body: list[bytes] | None = None
) -> tuple[int, str]:
    """Status and code of an answer to what no client library sends; a body is begun and never ended."""
    sent: list[dict] = []
    parts = list(body or ())

    async def receive():
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": True}
        if body is None:
            return {"type": "http.request", "body": b""}
        return await asyncio.Event().wait()

    async def send(message) -> None:
        sent.append(message)

    asyncio.run(app(_scope(verb, path, headers), receive, send))
    answer = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(answer).get("code", "")
