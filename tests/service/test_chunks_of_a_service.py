"""Chunks from the whole service: who may read them, and a cohort opened with a token."""

import socket
from contextlib import closing
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.serving import serving
from support.stored import store_cohort, voxels_of

import gpuprep
from gpuprep.service.door.tokens import Principal, Tokens
from gpuprep.service.server import _bound
from gpuprep.values.errors import StoreError

ORIGIN = "https://viewer.example"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("service")
    (folder / "in").mkdir()
    with serving(folder / "own", folder / "in", {"cors": [ORIGIN]}) as running:
        for name in ("liver", "lung"):
            root = store_cohort(folder / "own/cohorts" / name)
            (root / "gpuprep.json").write_text("{}")
        yield running


def token(folder: Path, name: str, *cohorts: str) -> str:
    return Tokens(folder).add(Principal(name, "read", cohorts=cohorts))


def test_a_cohort_is_read_with_a_token_of_its_own_and_no_other(service):
    own = token(service.folder, "reader", "liver")
    cohort = gpuprep.open(f"{service.url}/v1/zarr/liver", token=own)
    np.testing.assert_array_equal(cohort["case_1"].image, voxels_of(1)[0])
    for other in ("lung", "none"):
        with pytest.raises(StoreError, match="no such cohort"):
            gpuprep.open(f"{service.url}/v1/zarr/{other}", token=own)
    with pytest.raises(StoreError, match="does not know"):
        gpuprep.open(f"{service.url}/v1/zarr/liver", token="wrong")


@pytest.mark.parametrize("view", ["zarr", "zarr32"])
def test_pages_see_answers_absences_and_refusals(service, view):
    path = f"{service.url}/v1/{view}/liver/cases/case_1.zarr"
    with service.ask("read") as client:
        client.headers["Origin"] = ORIGIN
        answers = [client.get(f"{path}/0/zarr.json"), client.get(f"{path}/0/c.9.9.9.9")]
        answers.append(
            httpx.get(f"{path}/0/zarr.json", headers={"Origin": ORIGIN}, trust_env=False)
        )
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
        answers.append(httpx.options(f"{path}/0/zarr.json", headers=asked, trust_env=False))
        assert [answer.status_code for answer in answers] == [200, 404, 401, 204]
        assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {ORIGIN}
        assert answers[1].headers["Content-Type"] == "application/problem+json"
        wrong = client.post(f"{path}/0/zarr.json", headers={"Origin": service.url})
        assert set(wrong.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_a_connection_does_not_wait_for_acknowledgements():
    with closing(_bound("127.0.0.1", 0)) as door:
        door.listen()
        with socket.create_connection(door.getsockname()) as _, door.accept()[0] as taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
