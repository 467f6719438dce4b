"""What the machine does is told to all readers, whose jobs they are to few; and nothing waits for a disk."""

import asyncio
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.cohorts import write_pair
from support.runs import wait_until
from support.service_app import App
from support.serving import serving

from gpuprep.host.gpus import Gpu
from gpuprep.host.resources import available_cores, total_memory
from gpuprep.service.door.tokens import Principal
from gpuprep.service.jobs.dispatcher import new_job
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Asked
from gpuprep.service.machine.history import Ring, Sample
from gpuprep.service.machine.readings import Processors, Slow
from gpuprep.service.tally import METRICS_FILE


@pytest.fixture
def app(tmp_path) -> App:
    return App(tmp_path / "folder", limits={"workers": 8, "memory": 10**9})


def add_work(app: App, owner: str, cohort: str, workers: int = 1) -> str:
    """A job at work that has spent 4 s storing."""
    asked = Asked("data", "", cohort, workers=workers)
    job = replace(new_job(owner, asked, memory=5), state="running", started=1.0)
    folder = JobFolder.make(app.folder / "jobs", job)
    (folder.path / METRICS_FILE).write_text(
        "# TYPE gpuprep_stage_seconds_total counter\n"
        'gpuprep_stage_seconds_total{stage="store"} 4.0\n'
    )
    return app.service.dispatcher.database.add(job).id


def sample(app: App) -> None:
    """What the service does every few seconds."""

    async def one() -> None:
        app.service.machine.sample()
        await app.service.machine.slow.looked()

    app.service.numbers.tally.look(job.id for job in app.service.dispatcher.database.working())
    asyncio.run(one())


def test_cores_memory_disk_and_what_jobs_have_of_them(app: App) -> None:
    add_work(app, "anna", "ct", workers=3)
    sample(app)
    sample(app)
    told = app.client(Principal("anyone", "read")).get("/v1/machine").json()
    disk = shutil.disk_usage(app.folder)
    assert told["cores"] == available_cores()
    assert told["memory"]["total"] == total_memory()
    assert 0 < told["memory"]["used"] < told["memory"]["total"]
    assert told["disk"]["total"] == disk.total
    assert abs(told["disk"]["free"] - disk.free) < 1 << 30
    assert told["workers"] == {"taken": 3, "capacity": 8}
    assert told["planned"] == {"taken": 5, "capacity": 10**9}
    assert (told["jobs_working"], told["jobs_waiting"]) == (1, 0)
    assert told["stages"] == {"store": 4}
    assert told["history"]["workers"] == [3, 3]
    assert len(told["history"]["time"]) == 2


def test_whose_jobs_they_are_is_told_to_owners_and_admins(app: App) -> None:
    mine, other = add_work(app, "anna", "ct-1"), add_work(app, "bob", "ct-2")
    sample(app)

    def told(principal: Principal) -> list[tuple[str | None, ...]]:
        jobs = app.client(principal).get("/v1/machine").json()["at_work"]
        assert [each["stages"] for each in jobs] == [{"store": 4}] * 2
        return [(each["job"], each["cohort"], each["owner"]) for each in jobs]

    nobody = (None, None, None)
    anna, bob = (mine, "ct-1", "anna"), (other, "ct-2", "bob")
    assert told(Principal("anna", "submit")) == [anna, nobody]
    assert told(Principal("eve", "read")) == [nobody, nobody]
    assert told(Principal("root", "admin")) == [anna, bob]
    text = app.client(Principal("other", "admin")).get("/v1/machine").text
    assert str(app.folder) not in text


def test_history_is_told_from_where_one_left_off(app: App) -> None:
    sample(app)
    client = app.client(Principal("anyone", "read"))
    last = client.get("/v1/machine").json()["history"]["time"][-1]
    for _ in range(2):
        sample(app)
    behind = client.get("/v1/machine", params={"since": last}).json()["history"]
    lists = [behind["busy"], behind["memory"], behind["disk"], behind["workers"], behind["waiting"]]
    assert {len(each) for each in lists} == {len(behind["time"])}
    assert all(time > last for time in behind["time"])
    assert client.get("/v1/machine", params={"since": "nan"}).status_code == 422


def test_stages_are_workers_and_the_ring_is_bounded() -> None:
    ring = Ring(kept=3)
    for k in range(5):
        gpus = (Gpu(0, "A", 10, k, 0.5),) if k > 2 else ()
        ring.add(Sample(10.0 * k, stages={"read": 20.0 * k} if k > 2 else {}, gpus=gpus))
    told = ring.told()
    assert told.time == [20, 30, 40]
    assert told.stages == {"read": [0, 6, 2]}
    assert told.gpus[0].memory == [None, 3, 4]
    assert ring.told(since=30).stages == {"read": [2]}
    assert ring.told(since=40).time == []


def test_a_disk_that_does_not_answer_holds_nothing_up(tmp_path, monkeypatch) -> None:
    goes_on, asked = threading.Event(), []

    def hangs(path: Path) -> None:
        asked.append(path)
        goes_on.wait(30)
        raise OSError

    monkeypatch.setattr(shutil, "disk_usage", hangs)
    gpus = (Gpu(0, "A", 10, 5, 0.5),)

    async def look() -> None:
        slow = Slow(tmp_path / "not" / "there", lambda: gpus)
        for _ in range(5):
            slow.look()
        await asyncio.to_thread(wait_until, lambda: asked, "the disk to be asked")
        assert slow.disk is None
        assert slow.gpus == gpus
        goes_on.set()
        await slow.looked()
        slow.close()

    asyncio.run(look())
    assert asked == [tmp_path]


def test_processors_are_busy_as_the_kernel_counts(tmp_path) -> None:
    file = tmp_path / "stat"
    file.write_text("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1 1 1\n")
    processors = Processors(file)
    file.write_text("cpu  130 0 110 850 10 0 0 0 0 0\n")
    assert processors.busy() == pytest.approx(0.4)
    assert processors.busy() is None  # no time went by
    file.write_text("torn")
    assert processors.busy() is None
    assert Processors(tmp_path / "none").busy() is None


def test_a_service_at_work_samples_by_itself(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    write_pair(tmp_path / "data", 0)
    with serving(tmp_path / "folder", tmp_path / "data") as served, served.ask("read") as client:
        job = served.ended(served.submit(output="one")["id"])
        assert set(job["stages"]) >= {"read", "resample", "store"}

        def told() -> dict:
            return client.get("/v1/machine").json()

        wait_until(lambda: told()["stages"].keys() == job["stages"].keys(), "the stages")
        wait_until(lambda: told()["disk"], "the disk")
        found = told()
        assert found["stages"] == pytest.approx(job["stages"])
        assert str(tmp_path) not in json.dumps(found)
        assert found["history"]["time"] == sorted(found["history"]["time"])
        assert found["since"] <= found["history"]["time"][0] + 0.1
