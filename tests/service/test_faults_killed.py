"""Service and job killed at each step: every accepted job ends once, with the bytes of an undisturbed run."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from support.cohorts import CONFIG, contents
from support.runs import wait_until
from support.serving import Served, serving

from gpuprep.service.jobs.folder import JobFolder

pytestmark = pytest.mark.slow

BODY = {"root": "data", "output": "made", "config": CONFIG, "executor": "serial"}
KEY = {"Idempotency-Key": "one"}


def armed(tmp_path: Path, failpoints: str) -> dict[str, str]:
    """The environment of a service with failpoints, whose passages it counts with its jobs."""
    counts = tmp_path / "counts"
    counts.mkdir(exist_ok=True)
    return {"GPUPREP_FAILPOINTS": failpoints, "GPUPREP_FAILPOINTS_COUNTS": str(counts)}


def submit(served: Served) -> httpx.Response | None:
    """The answer to a submission, None where the service dies over it."""
    try:
        with served.ask() as client:
            return client.post("/v1/jobs", json=BODY, headers=KEY)
    except httpx.TransportError:
        return None


def only_job(served: Served) -> dict:
    with served.ask() as client:
        (job,) = client.get("/v1/jobs").json()["items"]
    return job


def events_of(served: Served, job_id: str) -> list[str]:
    with served.ask() as client:
        lines = client.get(f"/v1/jobs/{job_id}/events").text.splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


def check_made(served: Served, job: dict, undisturbed: dict[str, bytes]) -> None:
    assert job["state"] == "succeeded", job
    assert contents(served.folder / "cohorts/made") == undisturbed
    told = events_of(served, job["id"])
    assert told.count("job.succeeded") == 1
    assert told[-1] == "job.succeeded"


@pytest.mark.parametrize(
    "step", ["after_folder", "after_insert", "before_child", "after_child", "child_named"]
)
def test_the_service_is_killed_while_it_takes_a_job_in(step, three, undisturbed, tmp_path) -> None:
    with serving(tmp_path / "folder", three, **armed(tmp_path, f"{step}=kill:1")) as served:
        submit(served)
        served.process.wait(60)
    with serving(tmp_path / "folder", three) as served:
        again = submit(served)  # as a client does that heard nothing
        assert again.status_code == 200, "the job was accepted, and is known by its key"
        job = served.settled(only_job(served)["id"])
        check_made(served, job, undisturbed)
        assert job["restarts"] <= (step == "child_named")


@pytest.mark.parametrize("step", ["job_begun", "after_record", "before_manifest", "job_done"])
def test_a_killed_job_goes_on(step, three, undisturbed, tmp_path) -> None:
    with serving(tmp_path / "folder", three, **armed(tmp_path, f"{step}=kill:1")) as served:
        submit(served)
        job = served.settled(only_job(served)["id"])
        check_made(served, job, undisturbed)
        assert job["restarts"] == 1


def test_a_job_lives_on_without_its_service(three, undisturbed, tmp_path) -> None:
    with serving(tmp_path / "folder", three, **armed(tmp_path, "after_record=stop:1")) as served:
        job = submit(served).json()
        child = served.wait_for_child(job["id"])
        served.kill()
    with serving(tmp_path / "folder", three) as served:
        assert served.job(job["id"])["state"] == "running"
        os.kill(child, signal.SIGCONT)
        ended = served.settled(job["id"])
        check_made(served, ended, undisturbed)
        assert ended["restarts"] == 0
        assert ended["progress"]["done"] == 3


@pytest.mark.parametrize("ending", [signal.SIGCONT, signal.SIGKILL])
def test_a_job_ends_while_there_is_no_service(ending, three, undisturbed, tmp_path) -> None:
    with serving(tmp_path / "folder", three, **armed(tmp_path, "after_record=stop:1")) as served:
        job = submit(served).json()
        child = served.wait_for_child(job["id"])
        served.kill()
    os.kill(child, ending)
    folder = JobFolder(tmp_path / "folder/jobs" / job["id"])
    wait_until(lambda: not folder.lives(), "the job's process is gone")
    with serving(tmp_path / "folder", three) as served:
        ended = served.settled(job["id"])
        check_made(served, ended, undisturbed)
        assert ended["restarts"] == (ending == signal.SIGKILL)


@pytest.mark.parametrize("state", ["starting", "running", "succeeded"])
def test_the_service_is_killed_before_it_tells(state, three, undisturbed, tmp_path) -> None:
    points = f"after_save@{state}=kill:1"
    with serving(tmp_path / "folder", three, **armed(tmp_path, points)) as served:
        submit(served)
        served.process.wait(60)
    with serving(tmp_path / "folder", three) as served:
        check_made(served, served.settled(only_job(served)["id"]), undisturbed)


def test_a_killed_job_that_overwrites_overwrites_all_the_same(three, undisturbed, tmp_path) -> None:
    """Killed before it took the cohort for its config, and once more behind that."""
    points = armed(tmp_path, "job_begun=kill:2,after_record=kill:5")
    other = {"image": {"resample": {"spacing": [2.0, 2.0, 2.0]}}}
    with serving(tmp_path / "folder", three, **points) as served:
        first = served.submit(**{**BODY, "config": other})
        assert served.settled(first["id"])["state"] == "succeeded"
        job = served.submit(**BODY, overwrite=True)
        ended = served.settled(job["id"])
        check_made(served, ended, undisturbed)
        assert ended["restarts"] == 2


def test_a_job_that_always_dies_ends_with_its_last_words(three, tmp_path) -> None:
    settings = {"limits": {"restarts": 2}}
    environment = armed(tmp_path, "job_begun=raise-EIO")
    with serving(tmp_path / "folder", three, settings, **environment) as served:
        job = submit(served).json()
        ended = served.settled(job["id"])
    assert ended["state"] == "failed"
    assert ended["reason"].startswith("its process died 3 times: ")
    assert "Input/output error" in ended["reason"]


def test_the_service_is_killed_while_it_cancels(three, tmp_path) -> None:
    points = "after_record=stop:1,after_cancel=kill:1"
    with serving(tmp_path / "folder", three, **armed(tmp_path, points)) as served:
        job = submit(served).json()
        child = served.wait_for_child(job["id"])
        with served.ask() as client, pytest.raises(httpx.TransportError):
            client.post(f"/v1/jobs/{job['id']}/cancel")
        served.process.wait(60)
    with serving(tmp_path / "folder", three) as served:
        os.kill(child, signal.SIGCONT)
        assert served.settled(job["id"])["state"] == "cancelled"


def test_the_service_is_killed_while_it_resumes(three, undisturbed, tmp_path) -> None:
    points = "after_record=stop:1,mid_resume=kill:1"
    with serving(tmp_path / "folder", three, **armed(tmp_path, points)) as served:
        job = submit(served).json()
        child = served.wait_for_child(job["id"])
        with served.ask() as client:
            client.post(f"/v1/jobs/{job['id']}/cancel")
            os.kill(child, signal.SIGCONT)
            assert served.settled(job["id"])["state"] == "cancelled"
            with pytest.raises(httpx.TransportError):
                client.post(f"/v1/jobs/{job['id']}/resume")
        served.process.wait(60)
    with serving(tmp_path / "folder", three) as served:
        assert served.job(job["id"])["state"] == "cancelled"  # it was told nothing else
        with served.ask() as client:
            assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
        check_made(served, served.settled(job["id"]), undisturbed)
