"""Errors as problems: on every path, by every verb, whatever was sent, and nothing of the inside."""

import pytest
from fastapi import Request
from support.service_app import App

from gpuprep.service.door.tokens import Principal
from gpuprep.service.problems import MEDIA_TYPE, Problem
from gpuprep.values.errors import InputError, StoreFault, UsageError


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    folder = tmp_path_factory.mktemp("service")
    (folder / "data").mkdir()
    app = App(folder / "folder", roots={"data": str(folder / "data")})

    @app.service.api.get("/bug")
    async def bug(request: Request) -> None:
        raise ZeroDivisionError(f"at {request.url.path} of Hans Mueller")

    @app.service.api.get("/ours/{kind}")
    async def ours(kind: str) -> None:
        where = folder / "data" / "x.nii"
        raise {
            "usage": UsageError(f"{where}: wrong", advice=f"look at {app.folder}/cohorts/liver"),
            "input": InputError("E_X", "wrong", path=str(where)),
            "fault": StoreFault("the disk is full"),
        }[kind]

    @app.service.api.get("/half")
    async def half() -> None:
        raise Problem(422, "half a pair: \ud800" + "x" * 100_000)

    return app


@pytest.fixture(scope="module")
def client(app: App):
    return app.client(Principal("anna", "admin"))


def told(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["type"] == "about:blank"
    return answer.status_code, problem["code"]


def test_paths_that_are_none(client) -> None:
    for path in ("/nowhere", "/v1", "/v1/", "/v1/jobs/", "/v1/cohorts/x/y/z", "/docs", "/redoc"):
        assert told(client.get(path)) == (404, "E_NOT_FOUND"), path
        assert told(client.post(path)) == (404, "E_NOT_FOUND"), path


def test_verbs_that_are_none_are_told_which_there_are(client) -> None:
    allowed = {
        "/v1/jobs": "GET, HEAD, POST",
        f"/v1/jobs/{'0' * 20}": "GET, HEAD, PATCH",
        f"/v1/jobs/{'0' * 20}/cancel": "POST",
        f"/v1/jobs/{'0' * 20}/events": "GET, HEAD",
        "/health/live": "GET, HEAD",
        "/openapi.json": "GET, HEAD",
        "/logout": "POST",
    }
    for path, verbs in allowed.items():
        for verb in ("DELETE", "PUT", "TRACE", "OPTIONS", "BREW"):
            answer = client.request(verb, path)
            assert told(answer) == (405, "E_METHOD"), (verb, path)
            assert answer.headers["allow"] == verbs, (verb, path)


def test_every_answer_to_get_has_its_headers_alone(client) -> None:
    for path in ("/health/live", "/v1/jobs", "/metrics", "/v1/cohorts/none", "/v1/events"):
        head = client.request("HEAD", path)
        if path == "/v1/events":
            assert (head.status_code, head.headers["content-type"]) == (
                200,
                "text/event-stream; charset=utf-8",
            )
            continue
        whole = client.get(path)
        assert head.status_code == whole.status_code, path
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.request("HEAD", f"/v1/jobs/{'0' * 20}/cancel").status_code == 405


def test_a_bug_says_that_it_happened_and_no_more(client, app: App, capfd) -> None:
    answer = client.get("/bug")
    assert told(answer) == (500, "E_BUG")
    assert "ZeroDivision" not in answer.text
    assert "Mueller" not in answer.text
    assert "Traceback" not in answer.text


def test_our_errors_keep_code_and_advice_and_lose_paths(client, app: App) -> None:
    usage = client.get("/ours/usage")
    assert told(usage) == (422, "E_USAGE")
    assert usage.json()["detail"] == "root data/x.nii: wrong"
    assert usage.json()["advice"] == "look at cohorts/liver"
    assert told(client.get("/ours/input")) == (422, "E_X")
    assert told(client.get("/ours/fault"))[0] == 503
    for kind in ("usage", "input"):
        assert str(app.folder.parent) not in client.get(f"/ours/{kind}").text


def test_texts_that_cannot_be_sent_are_sent_all_the_same(client) -> None:
    answer = client.get("/half")
    assert told(answer)[0] == 422
    assert len(answer.content) < 30_000


BODIES = {
    "no JSON": b"{",
    "no text": b"\xff\xfe{}",
    "a list": b"[]",
    "null": b"null",
    "nothing": b"",
    "deep lists": b'{"root": "data", "output": "x", "config": ' + b"[" * 100_000,
    "deep and whole": b'{"root":"data","output":"x","config":' + b'{"a":' * 900 + b"1" + b"}" * 901,
    "deep enough for pydantic": b'{"config":' + b'{"a":' * 150 + b"1" + b"}" * 151,
    "many digits": b'{"root": "data", "output": "x", "limit": ' + b"9" * 5000 + b"}",
    "a large number": b'{"root":"data","output":"x","config":{"image":{"a":1' + b"0" * 400 + b"}}}",
    "infinity": b'{"root": "data", "output": "x", "config": {"image": {"a": 1e999}}}',
    "NaN": b'{"root": "data", "output": "x", "config": {"image": {"a": NaN}}}',
    "NaN as a number": b'{"root": "data", "output": "x", "priority": NaN}',
    "half a pair": b'{"root": "data", "output": "x", "config": {"image": {"\\ud800": 1}}}',
    "half a pair, named": b'{"root": "data", "output": "x", "\\ud800": 1}',
    "zero byte": b'{"root": "data", "output": "x", "path": "a\\u0000b"}',
    "line break": b'{"root": "data", "output": "x\\n"}',
    "many": b'{"root": "data", "output": "x", "config": {"image": [' + b"1," * 20_000 + b"1]}}",
    "truth for a number": b'{"root": "data", "output": "x", "priority": true}',
    "text for a number": b'{"root": "data", "output": "x", "priority": "5"}',
    "a key too many": b'{"root": "data", "output": "x", "Output": "y"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_none(client, app: App, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/jobs", content=BODIES[name], headers=headers)
    status, code = told(answer)
    assert status in (400, 422)
    assert code in ("E_REQUEST", "E_NOT_ALLOWED"), answer.text
    assert len(answer.content) < 30_000
    assert not list((app.folder / "jobs").iterdir())


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", None])
def test_a_body_that_a_form_could_send_is_none(client, kind: str | None) -> None:
    """A page may send these kinds without asking; they are not read as JSON."""
    headers = {} if kind is None else {"Content-Type": kind}
    body = b'{"root": "data", "output": "x"}'
    answer = client.post("/v1/jobs", content=body, headers=headers)
    assert told(answer) == (422, "E_REQUEST")


def test_the_description_tells_all_that_may_be_answered(app: App) -> None:
    tree = app.service.api.openapi()
    for path, item in tree["paths"].items():
        if not path.startswith("/v1"):
            continue
        for verb, operation in item.items():
            where = f"{verb} {path}"
            assert operation["description"], where
            statuses = set(operation["responses"])
            assert {"400", "401", "421"} <= statuses, where
            assert ("403" in statuses) or verb in ("get", "head"), where
            assert operation["security"], where
            if "requestBody" in operation:
                assert {"408", "413", "422"} <= statuses, where
            if "{" in path:
                assert "404" in statuses, where
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == [MEDIA_TYPE], where
    job = tree["components"]["schemas"]["JobRequest"]
    assert job["examples"]
    assert all("description" in field for field in job["properties"].values())
    assert tree["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    links = tree["paths"]["/v1/jobs"]["post"]["responses"]["201"]["links"]
    assert {"job", "cancel", "events", "cases"} <= set(links)
