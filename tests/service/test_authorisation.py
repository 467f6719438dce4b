"""Whoever may not see something is told what he would be told if it were not there, on every route."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from support.cohorts import run, write_pair
from support.service_app import HERE, App

from gpuprep.service.door.access import reader, submitter
from gpuprep.service.door.tokens import Principal
from gpuprep.service.jobs.dispatcher import new_job
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Asked
from gpuprep.service.pages.routes import PAGES

OPEN = {
    "/health/live",
    "/health/ready",
    "/openapi.json",
    "/login",
    "/logout",
    "/pages/{path:path}",
} | {*PAGES}
"""What nobody needs a token for; none of it says anything about anybody's data."""
CASE = "volume-0"
NONE_OF_COHORTS = ("/v1/roots", "/v1/about", "/v1/machine")
FOREIGN = Principal("eve", "submit", ("hers",), ("eve-*",))
OWNER = Principal("anna", "submit", ("data",), ("anna-*",))


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    """With a cohort and a job of anna's."""
    folder = tmp_path_factory.mktemp("service")
    for name in ("data", "hers"):
        (folder / name).mkdir()
    write_pair(folder / "data", 0)
    app = App(folder / "folder", roots={name: str(folder / name) for name in ("data", "hers")})
    run(folder / "data", app.folder / "cohorts/anna-1", scheduler="serial")
    return app


@pytest.fixture(scope="module")
def job(app: App) -> str:
    asked = Asked("data", "", "anna-1")
    job = replace(new_job("anna", asked), seq=1, state="succeeded", ended=1.0)
    folder = JobFolder.make(app.folder / "jobs", job)
    folder.tell("job.succeeded")
    folder.close("succeeded")
    app.service.dispatcher.database.add(job)
    (app.folder / "events.jsonl").write_text(
        f'{{"event": "job.succeeded", "job": "{job.id}", "owner": "anna", "cohort": "anna-1"}}\n'
    )
    app.service.feeds.closed = True  # streams end with what there is
    return job.id


def routes(found: list[BaseRoute], above: str = "") -> Iterator[tuple[str, str]]:
    """Every verb and path that the app takes, whatever it is made of."""
    for route in found:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is None:
            inner = getattr(route, "routes", None)
        path = above + getattr(route, "path", "")
        if inner:
            yield from routes(inner, path)
        for verb in sorted(getattr(route, "methods", None) or ()):
            yield verb, path


def filled(path: str, job: str) -> str:
    known = {"job_id": job, "name": "anna-1", "cohort": "anna-1", "path": "zarr.json"}
    known |= {"case_id": CASE, "axis": "z", "index": "0"}
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: known[found[1]], path)


def test_the_routes_are_all_found(app: App) -> None:
    found = {path for _, path in routes(app.service.api.routes)}
    assert {"/v1/jobs", "/v1/jobs/{job_id}/events", "/v1/cohorts/{name}/cases", "/metrics"} <= found
    told = {path.replace("{view}", "zarr") for path in app.service.api.openapi()["paths"]}
    assert {path.replace(":path", "") for path in found} >= told


def test_without_a_token_nothing_is_told(app: App, job: str) -> None:
    for verb, path in set(routes(app.service.api.routes)):
        if path in OPEN or verb == "OPTIONS":
            continue
        answer = app.client().request(verb, filled(path, job), json={})
        assert answer.status_code == 401, (verb, path)
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_what_others_have_is_not_there(app: App, job: str) -> None:
    """Loops over the routes, so that one of tomorrow that forgets to ask fails here."""
    eve, anna = app.client(FOREIGN), app.client(OWNER)
    asked = 0
    for verb, path in set(routes(app.service.api.routes)):
        if "{" not in path or path in OPEN or verb == "OPTIONS":
            continue
        body = {"priority": 1} if verb == "PATCH" else None
        mine, there = filled(path, job), filled(path, job)
        gone = mine.replace(job, "0" * 20).replace("anna-1", "nobody-1")
        hers, none = (eve.request(verb, each, json=body) for each in (there, gone))
        assert hers.status_code == none.status_code == 404, (verb, path)
        if verb != "HEAD":
            assert hers.text.replace("anna-1", "nobody-1") == none.text, (verb, path)
        if verb == "GET" and "{path" not in path:
            assert anna.request(verb, mine).status_code == 200, (verb, path)
        asked += 1
    assert asked >= 9


def test_no_list_tells_of_what_others_have(app: App, job: str) -> None:
    paths = [path for verb, path in set(routes(app.service.api.routes)) if verb == "GET"]
    lists = [path for path in paths if "{" not in path and path.startswith("/v1")]
    assert {"/v1/jobs", "/v1/cohorts", "/v1/events", "/v1/roots"} <= set(lists)
    eve, anna = app.client(replace(FOREIGN, name="eve2")), app.client(replace(OWNER, name="anna2"))
    for path in lists:
        told = eve.get(path).text
        assert "anna" not in told, path
        assert job not in told, path
        assert '"data"' not in told, path
        assert ("anna-1" in anna.get(path).text) == (path not in NONE_OF_COHORTS), path


def test_a_token_takes_input_and_makes_cohorts_where_it_may(app: App) -> None:
    eve = app.client(replace(FOREIGN, name="eve3"))

    def told(root: str, output: str) -> tuple[int, str]:
        answer = eve.post("/v1/jobs", json={"root": root, "output": output})
        return answer.status_code, answer.json()["code"]

    assert told("data", "eve-1") == told("nothing", "eve-1") == (422, "E_ROOT")
    assert told("hers", "anna-1") == told("hers", "other") == (422, "E_COHORT")


def test_reading_changes_nothing(app: App, job: str) -> None:
    client = app.client(replace(OWNER, name="anna4", scope="read"))
    asked = 0
    for verb, path in set(routes(app.service.api.routes)):
        if verb in ("GET", "HEAD", "OPTIONS") or path in OPEN:
            continue
        body = {"priority": 1} if verb == "PATCH" else {"root": "data", "output": "anna-2"}
        answer = client.request(verb, filled(path, job), json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "E_SCOPE"), (verb, path)
        asked += 1
    assert asked >= 5


def test_who_sees_a_job_of_another_does_not_end_it(app: App, job: str) -> None:
    beside = app.client(replace(OWNER, name="anna5"))
    assert beside.get(f"/v1/jobs/{job}").status_code == 200
    for verb in ("cancel", "resume", "retry"):
        answer = beside.post(f"/v1/jobs/{job}/{verb}")
        assert (answer.status_code, answer.json()["code"]) == (403, "E_OWNER"), verb


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs?/health/live",
        "//health/live/../v1/jobs",
        "/health/live/../../v1/jobs",
        "/v1//jobs",
    ],
)
def test_what_is_asked_is_the_path_of_the_request_alone(app: App, path: str) -> None:
    """A host that holds a path changed ``request.url.path``, and with it what was authorised."""
    for host in ("localhost", "localhost/health/live?", "localhost/health/live#"):
        answer = app.client().get(HERE + path, headers={"Host": host})
        assert answer.status_code in (401, 404, 421), (host, path)


def test_a_job_that_is_as_it_was_is_not_told_again(app: App, job: str) -> None:
    client = app.client(replace(OWNER, name="anna6"))
    for path in (f"/v1/jobs/{job}", "/v1/jobs"):
        tag = client.get(path).headers["etag"]
        for given in (tag, f'"other", W/{tag}', "*"):
            answer = client.get(path, headers={"If-None-Match": given})
            assert (answer.status_code, answer.content) == (304, b""), (path, given)
            assert answer.headers["etag"] == tag
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
        assert client.request("HEAD", path, headers={"If-None-Match": tag}).status_code == 304
    assert app.client().get(path, headers={"If-None-Match": "*"}).status_code == 401


def test_few_jobs_among_many_of_others_are_found(app: App, job: str) -> None:
    """A page is whole however many jobs that one may not see lie between."""
    database = app.service.dispatcher.database
    for _ in range(1200):
        asked = Asked("hers", "", "eve-1")
        database.add(replace(new_job("eve", asked), state="succeeded", ended=1.0))
    eve, anna = app.client(replace(FOREIGN, name="eve6")), app.client(replace(OWNER, name="anna7"))
    page = anna.get("/v1/jobs", params={"limit": 1}).json()
    assert [each["id"] for each in page["items"]] == [job]
    assert page["next"] is None
    first = eve.get("/v1/jobs", params={"limit": 500}).json()
    ids = {each["id"] for each in first["items"]}
    while first["next"]:
        first = eve.get("/v1/jobs", params={"limit": 500, "after": first["next"]}).json()
        ids |= {each["id"] for each in first["items"]}
    assert len(ids) == 1200


def test_every_route_is_a_plain_one(app: App) -> None:
    """Nothing is authorised by a prefix of a path: each route has its own dependency on a principal."""
    for route in app.service.api.routes:
        for each in getattr(getattr(route, "original_router", None), "routes", [route]):
            is_data = each.path not in OPEN  # pages hold none
            if isinstance(each, APIRoute) and is_data:
                asked = [dependency.call for dependency in each.dependant.dependencies]
                assert reader in asked or submitter in asked, each.path


@pytest.mark.parametrize(
    "path",
    [
        "zarr.json",
        "",
        "gpuprep.json",
        "cases/x/zarr.json",
        "failures.jsonl",
        "%2e%2e/anna-1/zarr.json",
    ],
)
def test_a_cohort_that_is_not_there_has_no_chunks(app: App, path: str) -> None:
    boss, eve = (
        app.client(Principal(f"{name}-{abs(hash(path))}", "read", ("*",), (pattern,)))
        for name, pattern in (("boss", "*"), ("eve", "eve-*"))
    )
    for client, cohort in ((boss, "none"), (boss, ".."), (boss, "%2e%2e"), (eve, "anna-1")):
        answer = client.get(f"/v1/zarr/{cohort}/{path}")
        assert answer.status_code == 404, (cohort, path)
        assert answer.headers["content-type"] == "application/problem+json"
