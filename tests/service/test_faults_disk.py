"""Full disks under the service and under its cohorts: what is refused leaves nothing, what ran goes on."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from chaos.faulty_disk import faulty
from support.cohorts import CONFIG, contents
from support.commands import call_apart
from support.runs import wait_until
from support.serving import Served, serving

pytestmark = pytest.mark.slow

BODY = {"root": "data", "config": CONFIG, "executor": "serial"}


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 20 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int = 0) -> Path:
    """Leave so many bytes of a disk."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        block = max(0, shutil.disk_usage(disk).free - left)
        while left == 0 or file.tell() < block:
            file.write(bytes(min(1 << 20, block - file.tell()) if left else 4096))
    return ballast


def folders(served: Served) -> set[str]:
    return {entry.name for entry in (served.folder / "jobs").iterdir()}


def test_a_full_disk_under_the_service(small_disk, three, undisturbed, tmp_path) -> None:
    settings = {"outputs": str(tmp_path / "cohorts"), "limits": {"jobs": 1}}
    points = {"GPUPREP_FAILPOINTS": "after_record=stop:1"}
    folder = small_disk / "folder"
    with serving(folder, three, settings, **points) as served, served.ask() as client:
        running = served.submit(**{**BODY, "output": "running"})
        waiting = served.submit(**{**BODY, "output": "waiting"})
        child = served.wait_for_child(running["id"])
        ballast = fill(small_disk)
        before = folders(served)
        refused = client.post("/v1/jobs", json={**BODY, "output": "no"})
        assert refused.status_code == 503, refused.text
        assert refused.headers["content-type"] == "application/problem+json"
        assert folders(served) == before
        assert client.get("/health/ready").status_code == 503
        subprocess.run(["kill", "-CONT", str(child)], check=True)
        end = folder / "jobs" / running["id"] / "end.json"
        wait_until(end.exists, "the job that was at work has ended on the full disk")
        ballast.unlink()
        for job in (running, waiting):
            ended = served.job(job["id"])
            if job is waiting:
                wait_until(lambda: go_on(served, waiting["id"]), "the waiting job is begun")
            ended = served.settled(job["id"])
            assert ended["state"] == "succeeded", ended
        assert client.get("/health/ready").status_code == 503  # 20 MB are never enough
        assert served.submit(**{**BODY, "output": "yes"})["state"] in ("queued", "starting")
    for name in ("running", "waiting"):
        assert contents(tmp_path / "cohorts" / name) == undisturbed


def go_on(served: Served, job_id: str) -> bool:
    if served._child_is(job_id, "T"):
        subprocess.run(["kill", "-CONT", str(served.wait_for_child(job_id))], check=True)
        return True
    return False


def test_a_folder_that_is_read_only_is_told_at_the_start(small_disk) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for folder in (small_disk, small_disk / "new"):
        done = call_apart("serve", "--folder", folder, "--port", 0, check=2)
        assert "Read-only file system" in done.stdout + done.stderr


def test_a_full_disk_under_the_cohorts(small_disk, three, undisturbed, tmp_path) -> None:
    settings = {"outputs": str(small_disk)}
    ballast = fill(small_disk, 150_000)
    with serving(tmp_path / "folder", three, settings) as served, served.ask() as client:
        job = served.submit(**{**BODY, "output": "made"})
        paused = served.settled(job["id"])
        assert paused["state"] == "paused", paused
        assert "space" in paused["reason"]
        ballast.unlink()
        assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 202
        assert served.settled(job["id"])["state"] == "succeeded"
    assert contents(small_disk / "made") == undisturbed


@pytest.mark.parametrize(
    "rule",
    [
        "write:ENOSPC:first=1:job.json",
        "fsync:EIO:first=1:/jobs/",
        "rename:EIO:first=1:job.json",
        "mkdir:EROFS:first=1:/jobs/",
    ],
)
def test_a_submission_that_the_disk_refuses_leaves_nothing(rule, three, tmp_path) -> None:
    environment = faulty(tmp_path / "folder", rule)
    with serving(tmp_path / "folder", three, **environment) as served, served.ask() as client:
        headers = {"Idempotency-Key": "k"}
        body = {**BODY, "output": "made"}
        refused = client.post("/v1/jobs", json=body, headers=headers)
        assert refused.status_code == 503, refused.text
        assert not folders(served)
        assert not client.get("/v1/jobs").json()["items"]
        accepted = client.post("/v1/jobs", json=body, headers=headers)
        assert accepted.status_code == 201, accepted.text
        assert served.settled(accepted.json()["id"])["state"] == "succeeded"


def test_a_list_that_cannot_be_written_refuses_and_leaves_nothing(three, tmp_path) -> None:
    environment = faulty(tmp_path / "folder", "write:ENOSPC:after=60:jobs.sqlite-wal")
    with serving(tmp_path / "folder", three, **environment) as served, served.ask() as client:
        answers = [client.post("/v1/jobs", json={**BODY, "output": f"c{k}"}) for k in range(8)]
        accepted = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert {answer.status_code for answer in answers} == {201, 503}
        assert folders(served) == set(accepted)
        served.kill()
    with serving(tmp_path / "folder", three) as served:
        assert {served.settled(job)["state"] for job in accepted} <= {"succeeded"}
        with served.ask() as client:
            assert len(client.get("/v1/jobs").json()["items"]) == len(accepted)
