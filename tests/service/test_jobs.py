"""Jobs from their submission to their end, over a service at work."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from support.cohorts import CONFIG, contents, run, write_pair
from support.serving import Served, serving

from gpuprep.service.door.tokens import Principal, Tokens


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for number in range(3):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory, sources) -> Served:
    with serving(tmp_path_factory.mktemp("service") / "folder", sources) as found:
        yield found


def test_a_job_makes_what_the_command_makes(served: Served, sources, tmp_path) -> None:
    job = served.submit(output="same", config=CONFIG)
    ended = served.ended(job["id"])
    assert ended["state"] == "succeeded", ended
    assert ended["progress"]["done"] == 3
    run(sources, tmp_path / "out", scheduler="serial")
    made, expected = contents(served.folder / "cohorts/same"), contents(tmp_path / "out")
    assert made.keys() == expected.keys()
    for name in made:
        if name.startswith("cases/"):
            assert made[name] == expected[name], name


def test_events_tell_a_job_from_its_queue_to_its_end(served: Served) -> None:
    job = served.submit(output="told")
    with served.ask() as client:
        lines = client.get(f"/v1/jobs/{job['id']}/events").text.splitlines()
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert names[:2] == ["job.queued", "job.starting"]
    assert names.count("case.done") == 3
    assert names[-1] == "job.succeeded"
    ids = [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]
    assert ids == sorted(ids)
    with served.ask() as client:
        headers = {"Last-Event-ID": str(ids[-2])}
        rest = client.get(f"/v1/jobs/{job['id']}/events", headers=headers).text
    assert [line for line in rest.splitlines() if line.startswith("event")] == [
        "event: job.succeeded"
    ]


def test_one_key_is_one_job(served: Served) -> None:
    body = {"root": "data", "output": "keyed", "executor": "serial"}
    with served.ask() as client:
        headers = {"Idempotency-Key": "k1"}
        first = client.post("/v1/jobs", json=body, headers=headers)
        again = client.post("/v1/jobs", json=body, headers=headers)
        other = client.post("/v1/jobs", json={**body, "output": "other"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["Location"] == f"/v1/jobs/{first.json()['id']}"
    assert other.json()["code"] == "E_KEY"


def test_a_repeated_key_gives_no_job_to_who_may_use_less_now(served: Served) -> None:
    body = {"root": "data", "output": "narrowed", "executor": "serial"}
    tokens, key = Tokens(served.folder), {"Idempotency-Key": "n1"}

    def asked(**may: tuple[str, ...]) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {tokens.add(Principal('less', 'submit', **may))}",
            **key,
        }
        answer = httpx.post(f"{served.url}/v1/jobs", json=body, headers=headers, timeout=60)
        tokens.revoke("less")
        return answer

    first = asked()
    assert first.status_code == 201
    assert (asked().status_code, asked().json()["id"]) == (200, first.json()["id"])
    assert asked(roots=("other",)).json()["code"] == "E_ROOT"
    assert asked(cohorts=("other",)).json()["code"] == "E_COHORT"


def test_what_cannot_be_done_is_told_at_once(served: Served) -> None:
    with served.ask() as client:

        def told(**body: object) -> tuple[int, str]:
            answer = client.post("/v1/jobs", json={"root": "data", "output": "no", **body})
            return answer.status_code, answer.json()["code"]

        assert told(path="../..") == (422, "E_PATH")
        assert told(root="nowhere") == (422, "E_ROOT")
        assert told(path="nothing") == (422, "E_PATH")
        assert told(config={"cluster": {"kind": "existing", "address": "tcp://1.2.3.4:1"}}) == (
            422,
            "E_NOT_ALLOWED",
        )
        assert told(config={"store": {"dtype": "int7"}}) == (422, "E_CONFIG")
        assert told(config="unheard") == (422, "E_PROFILE")
        assert told(executor="moon") == (422, "E_EXECUTOR")


def test_the_service_ends_at_once_while_its_events_are_followed(sources, tmp_path) -> None:
    with serving(tmp_path / "folder", sources) as served:
        job = served.submit(output="left")
        with (
            served.ask() as client,
            client.stream("GET", "/v1/events") as answer,
        ):
            assert next(answer.iter_lines()).startswith("retry")
            assert served.stop() == ""
    with serving(tmp_path / "folder", sources) as served:  # it works on and is found again
        assert served.ended(job["id"])["state"] == "succeeded"


def test_a_job_leaves_the_report_that_it_is_asked_for(served: Served) -> None:
    job = served.submit(output="reported", config={"report": {"html": True, "csv": True}})
    assert served.ended(job["id"])["state"] == "succeeded"
    cohort = served.folder / "cohorts/reported"
    assert b"volume-2" in (cohort / "report.html").read_bytes()
    assert (cohort / "cohort.csv").read_text().count("\n") == 4
    with served.ask() as client:
        body = {"root": "data", "output": "no", "config": {"report": {"html": "../x.html"}}}
        assert client.post("/v1/jobs", json=body).json()["code"] == "E_CONFIG"


def test_a_cohort_without_a_case_is_free_for_another_config(sources, tmp_path) -> None:
    """Not while its job is at work; the job of the other config is accepted once it has ended in vain."""
    too_large = {"image": {"intensity": [{"multiply": {"by": 1e6}}]}}
    stops = {"GPUPREP_FAILPOINTS": "after_claim=stop:1"}
    with serving(tmp_path / "folder", sources, **stops) as served:
        body = {"root": "data", "output": "free", "executor": "serial", "config": CONFIG}
        vain = served.submit(output="free", config=too_large)
        stopped = served.wait_for_child(vain["id"])
        with served.ask() as client:
            answer = client.post("/v1/jobs", json=body).json()
        assert (answer["code"], "is being made" in answer["detail"]) == ("E_CONFIG", True), answer
        os.kill(stopped, signal.SIGCONT)
        assert served.ended(vain["id"])["state"] == "succeeded_with_failures"
        again = served.submit(output="free", config=CONFIG)
        os.kill(served.wait_for_child(again["id"]), signal.SIGCONT)
        assert served.ended(again["id"])["state"] == "succeeded"
