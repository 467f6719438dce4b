"""Stops, second services, one key fifty times, cancels in each state: over a service at work."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support.cohorts import CONFIG, contents
from support.commands import call_apart
from support.runs import wait_until
from support.serving import Served, serving

BODY = {"root": "data", "config": CONFIG, "executor": "serial"}


@pytest.fixture(scope="module")
def served(three, tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("faults") / "folder", three) as found:
        yield found


def test_one_key_fifty_times_at_once_is_one_job(served: Served) -> None:
    body = {**BODY, "output": "keyed"}
    with served.ask() as ann, served.ask("admin") as bob, ThreadPoolExecutor(50) as pool:

        def submit(client: httpx.Client) -> httpx.Response:
            return client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})

        answers = list(pool.map(submit, [ann] * 50))
        assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
        assert len({answer.json()["id"] for answer in answers}) == 1
        other = submit(bob)  # keys are each user's own
        assert other.status_code == 201
        assert other.json()["id"] != answers[0].json()["id"]
        made = ann.get("/v1/jobs", params={"cohort": "keyed"}).json()["items"]
    assert len(made) == 2
    assert {served.settled(job["id"])["state"] for job in made} == {"succeeded"}


def test_a_second_service_on_a_folder_is_refused(served: Served) -> None:
    done = call_apart("serve", "--folder", served.folder, "--port", 0, check=2)
    assert "another service is at work" in done.stdout + done.stderr


def test_a_folder_that_cannot_be_written_is_told(tmp_path) -> None:
    (tmp_path / "file").write_text("no folder")
    done = call_apart("serve", "--folder", tmp_path / "file" / "below", "--port", 0, check=2)
    assert "cannot be written" in done.stdout + done.stderr


def test_a_service_stops_within_two_seconds_and_its_job_works_on(three, tmp_path) -> None:
    environment = {"GPUPREP_FAILPOINTS": "after_record=stop:1"}
    with serving(tmp_path / "folder", three, **environment) as served:
        job = served.submit(**{**BODY, "output": "on"})
        child = served.wait_for_child(job["id"])
        with (
            served.ask() as client,
            client.stream("GET", f"/v1/jobs/{job['id']}/events") as one,
            client.stream("GET", "/v1/events") as all_of_them,
        ):
            lines = one.iter_lines(), all_of_them.iter_lines()
            assert [next(each) for each in lines] == ["retry: 2000"] * 2
            began = time.monotonic()
            assert served.stop() == ""
            assert time.monotonic() - began < 2 * slowness()
    os.kill(child, signal.SIGCONT)
    with serving(tmp_path / "folder", three) as served:
        ended = served.settled(job["id"])
        assert (ended["state"], ended["restarts"]) == ("succeeded", 0)


def slowness() -> float:
    """How much slower this machine is than a calm one, by what it has to do."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_jobs_drain_and_go_on_later_where_the_settings_say_so(three, undisturbed, tmp_path) -> None:
    environment = {"GPUPREP_FAILPOINTS": "after_record=stop:1"}
    drain = {"on_stop": "drain"}
    with serving(tmp_path / "folder", three, drain, **environment) as served:
        job = served.submit(**{**BODY, "output": "drained"})
        child = served.wait_for_child(job["id"])
        served.stop()
    os.kill(child, signal.SIGCONT)
    end = tmp_path / "folder/jobs" / job["id"] / "end.json"
    wait_until(end.exists, "the job has drained")
    assert 1 <= len(list((tmp_path / "folder/cohorts/drained/cases").glob("*.zarr"))) < 3
    with serving(tmp_path / "folder", three, drain) as served:
        ended = served.settled(job["id"])
        assert (ended["state"], ended["restarts"]) == ("succeeded", 0)
    assert contents(tmp_path / "folder/cohorts/drained") == undisturbed


MEASURED = {**CONFIG, "image": {"intensity": [{"zscore": {"over": "cohort"}}]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "config"),
    [
        ("job_begun", CONFIG),
        ("after_claim", CONFIG),
        ("before_read", CONFIG),
        ("after_record", CONFIG),
        ("before_close", CONFIG),
        ("after_statistics", MEASURED),
        ("before_read", MEASURED),
    ],
)
def test_a_job_is_cancelled_and_resumed_in_each_state(step, config, three, tmp_path) -> None:
    environment = {"GPUPREP_FAILPOINTS": f"{step}=stop:1"}
    with serving(tmp_path / "folder", three, **environment) as served, served.ask() as client:
        job = served.submit(**{**BODY, "config": config, "output": "made"})
        child = served.wait_for_child(job["id"])
        told = [client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] for _ in range(2)]
        assert told == ["cancelling"] * 2
        began = time.monotonic()
        os.kill(child, signal.SIGCONT)
        ended = served.settled(job["id"])
        assert ended["state"] == "cancelled"
        assert ("done" in ended["reason"]) == (step == "before_close")
        assert time.monotonic() - began < 10 * slowness()
        again = client.post(f"/v1/jobs/{job['id']}/cancel")
        assert (again.status_code, again.json()["state"]) == (202, "cancelled")
        assert client.post(f"/v1/jobs/{job['id']}/resume").json()["state"] in ("queued", "starting")
        wait_until(lambda: resumed(served, job["id"]), "the job goes on")
        assert served.settled(job["id"])["state"] == "succeeded"
    verified = call_apart("verify", tmp_path / "folder/cohorts/made")
    assert verified.returncode == 0, verified.stdout


def resumed(served: Served, job_id: str) -> bool:
    """Whether the job's new process is through the failpoint at which it stops, too."""
    if served._child_is(job_id, "T"):
        os.kill(served.wait_for_child(job_id), signal.SIGCONT)
        return True
    return served.job(job_id)["state"] == "succeeded"


def test_a_waiting_job_is_cancelled_at_once_and_resumed(three, tmp_path) -> None:
    environment = {"GPUPREP_FAILPOINTS": "job_begun=stop:1"}
    one = {"limits": {"jobs": 1}}
    folder = tmp_path / "folder"
    with serving(folder, three, one, **environment) as served, served.ask() as client:
        first = served.submit(**{**BODY, "output": "first"})
        second = served.submit(**{**BODY, "output": "second"})
        assert second["queue"]["position"] == 1
        cancelled = client.post(f"/v1/jobs/{second['id']}/cancel").json()
        assert cancelled["state"] == "cancelled"
        assert client.post(f"/v1/jobs/{second['id']}/resume").json()["state"] == "queued"
        os.kill(served.wait_for_child(first["id"]), signal.SIGKILL)
        for job in (first, second):
            wait_until(lambda job=job: resumed(served, job["id"]), "the job goes on")
            assert served.settled(job["id"])["state"] == "succeeded"


def test_a_slow_disk_holds_up_nobody_else(three, tmp_path) -> None:
    """While a job is written down for seconds, all other answers come at once."""
    environment = {"GPUPREP_FAILPOINTS": "after_folder=sleep-5:1"}
    with (
        serving(tmp_path / "folder", three, **environment) as served,
        served.ask() as client,
        ThreadPoolExecutor(1) as pool,
    ):
        slow = pool.submit(served.submit, **BODY, output="slow")
        jobs = tmp_path / "folder/jobs"
        wait_until(lambda: list(jobs.glob("*/job.json")), "the job is being written down")
        began = time.monotonic()
        for path in ("/health/live", "/health/ready", "/v1/jobs", "/v1/cohorts", "/metrics"):
            assert client.get(path).status_code == 200, path
        assert time.monotonic() - began < 4
        assert not slow.done()
        assert served.settled(slow.result()["id"])["state"] == "succeeded"
