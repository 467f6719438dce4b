"""The short way to a chunk answers as the routes do."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from support.stored import store_cohort

from gpuprep.service import problems
from gpuprep.service.chunks.lane import Lane
from gpuprep.service.chunks.outputs import Outputs
from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.service.problems import Problem
from gpuprep.store.places import Place, to_place
from gpuprep.values.errors import CorruptStoreError, StoreFault

ORIGIN = "https://viewer.example"
SHARD = "cases/case_1.zarr/0/c.0.0.0.0"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("lane") / "own")


@pytest.fixture
def asked(own: Path):
    """What the lane answers, and what the app that it goes round does; which way each request went."""
    went: list[str] = []

    def place_of(request: Request, cohort: str) -> Place | None:
        went.append("routes" if "router" in request.scope else "lane")
        if "authorization" in request.headers:
            raise Problem(401, "a token is needed", code="E_TOKEN", headers={"X-More": "yes"})
        return to_place(own) if cohort == "own" else None

    app = FastAPI(redirect_slashes=False)
    problems.install(app)
    answers = chunk_answers(place_of)
    app.router.routes[:0] = chunk_routes(answers, cors=[ORIGIN])
    lane = Lane(app, answers, app.exception_handlers, cors=[ORIGIN])

    async def both(path: str, verb: str, headers: dict[str, str]) -> list[httpx.Response]:
        told = []
        for each in (lane, app):

            async def noted(*call: Any, each: Any = each) -> None:
                try:
                    await each(*call)
                except Exception:  # which the server writes down
                    went.append("raised")
                    raise

            transport = httpx.ASGITransport(noted, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                told.append(await client.request(verb, path, headers=headers))
        return told

    def ask(path: str, verb: str = "GET", **headers: str) -> tuple[httpx.Response, list[str]]:
        went.clear()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        by_lane, by_routes = asyncio.run(both(path, verb, names))
        assert by_lane.status_code == by_routes.status_code
        if "E_BUG" in by_lane.text:  # which the app tells outside of its CORS
            del by_lane.headers["vary"]
        assert by_lane.headers == by_routes.headers
        assert by_lane.content == by_routes.content
        return by_lane, list(went)

    return ask


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"range": "bytes=5-20"}, 206),
        ({"range": "bytes=-7", "origin": ORIGIN}, 206),
        ({"range": "bytes=99999999-"}, 416),
        ({"if_none_match": "*"}, 304),
        ({"if_match": '"other"', "origin": "https://else.example"}, 412),
        ({"authorization": "Bearer none", "origin": ORIGIN}, 401),
    ],
)
@pytest.mark.parametrize("view", ["zarr", "zarr32"])
def test_conditions_and_refusals_are_the_same(asked, view, headers, status) -> None:
    answer, went = asked(f"/v1/{view}/own/{SHARD}", **headers)
    assert answer.status_code == status
    assert went == ["lane", "routes"]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/zarr/none/{SHARD}",
        "/v1/zarr/own/cases/case_1.zarr/0/c.9.9.9",
        "/v1/zarr/own/cases/../gpuprep.json",
        "/v1/zarr/own/",
        "/v1/zarr/own/cases",
    ],
)
def test_names_mean_the_same(asked, path: str) -> None:
    assert asked(path)[1] == ["lane", "routes"]


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/zarr//{SHARD}",
        f"/v2/zarr/own/{SHARD}",
        f"//v1/zarr/own/{SHARD}",
        "/v1/zarr/own/a%0Ab",
        "/v1/zarr/own",
        "/v1/zarr",
        "/",
    ],
)
def test_what_no_route_takes_the_lane_leaves_alone(asked, path: str) -> None:
    answer, went = asked(path)
    assert (answer.status_code, went) == (404, [])


@pytest.mark.parametrize("verb", ["HEAD", "OPTIONS", "POST"])
def test_other_verbs_go_by_the_routes(asked, verb: str) -> None:
    assert "lane" not in asked(f"/v1/zarr/own/{SHARD}", verb)[1]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CorruptStoreError("torn"), 500),
        (StoreFault("the disk is gone"), 503),
        (ZeroDivisionError("a bug"), 500),
    ],
)
def test_errors_are_the_same_problems(asked, monkeypatch, error: Exception, status: int) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(Outputs, "_withdrawn", fails)
    answer, went = asked(f"/v1/zarr/own/{SHARD}")
    assert answer.status_code == status
    assert went.count("raised") == (2 if "E_BUG" in answer.text else 0)
    assert str(error) not in answer.text
