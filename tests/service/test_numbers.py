"""What Prometheus is told: the queue, what jobs did, the door; few labels and nothing of anybody."""

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.cohorts import write_pair
from support.runs import wait_until
from support.service_app import App
from support.serving import serving

from gpuprep.service import health
from gpuprep.service.door.tokens import Principal
from gpuprep.service.tally import METRICS_FILE, Tally

Numbers = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def numbers(text: str) -> Numbers:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_jobs_count_is_added_up(tmp_path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(2):
        write_pair(tmp_path / "data", number)
    with serving(tmp_path / "folder", tmp_path / "data") as served:
        for output in ("one", "two"):
            assert served.ended(served.submit(output=output)["id"])["state"] == "succeeded"
        with served.ask("read") as client:
            wait_until(lambda: 'state="succeeded"} 2.0' in client.get("/metrics").text, "both jobs")
            answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = numbers(answer.text)
    assert told["gpuprep_items_total", (("class", ""), ("state", "done"))] == 4
    assert told["gpuprep_bytes_total", (("dir", "in"),)] > 0
    assert told["gpuprep_bytes_total", (("dir", "out"),)] > 0
    assert told["gpuprep_jobs", (("state", "queued"),)] == 0
    assert told["gpuprep_workers_capacity", ()] > 0
    assert told["gpuprep_memory_capacity_bytes", ()] > 1 << 20
    assert any(name == "gpuprep_stage_seconds_total" for name, _ in told)
    posts = {key: value for key, value in told.items() if ("verb", "POST") in key[1]}
    assert posts == {("gpuprep_requests_total", (("status", "201"), ("verb", "POST"))): 2}
    labels = {label for _, given in told for label, _ in given}
    assert labels <= {"state", "class", "dir", "stage", "verb", "status", "le", "version"}


def test_warm_slots_are_told_by_profile(tmp_path) -> None:
    app = App(tmp_path / "folder", profiles={"brain": {"slots": 2}})
    told = numbers(app.client(Principal("prom")).get("/metrics").text)
    assert told["gpuprep_slots", (("profile", "brain"), ("state", "all"))] == 2
    assert told["gpuprep_slots", (("profile", "brain"), ("state", "waiting"))] == 0
    assert told["gpuprep_devices_taken", ()] == 0


def write(folder: Path, done: float) -> None:
    folder.mkdir(exist_ok=True)
    text = (
        f'# TYPE gpuprep_items_total counter\ngpuprep_items_total{{state="done",class=""}} {done}\n'
    )
    (folder / METRICS_FILE).write_text(text)


def done(tally: Tally) -> float:
    return sum(
        sample.value
        for family in tally.collect()
        for sample in family.samples
        if sample.name == "gpuprep_items_total"
    )


def test_a_counter_never_falls_and_counts_nothing_twice(tmp_path) -> None:
    tally, job = Tally(tmp_path), tmp_path / "a"
    tally.look(["a"])
    assert done(tally) == 0
    write(job, 3)
    tally.look(["a"])
    tally.look(["a"])
    assert done(tally) == 3
    write(job, 5)
    tally.look([])  # it ended since
    assert done(tally) == 5
    write(job, 7)
    tally.look([])  # and is nobody's any more
    assert done(tally) == 5


def test_a_run_that_begins_anew_is_counted_anew(tmp_path) -> None:
    tally, job = Tally(tmp_path), tmp_path / "a"
    write(job, 5)
    tally.look(["a"])
    (job / METRICS_FILE).unlink()
    tally.look(["a"])
    write(job, 2)
    tally.look(["a"])
    assert done(tally) == 7


def test_a_file_that_is_torn_costs_a_look(tmp_path) -> None:
    tally, job = Tally(tmp_path), tmp_path / "a"
    write(job, 5)
    tally.look(["a"])
    (job / METRICS_FILE).write_bytes(b'gpuprep_items_total{state="do\xff')
    tally.look(["a"])
    write(job, 6)
    tally.look(["a"])
    assert done(tally) == 6


@pytest.fixture
def app(tmp_path) -> App:
    return App(tmp_path / "folder")


def ready(app: App) -> tuple[int, str]:
    answer = app.client().get("/health/ready")
    return answer.status_code, answer.json().get("code", "")


def test_ready_means_that_a_job_can_be_taken(app: App, monkeypatch) -> None:
    assert ready(app) == (200, "")
    monkeypatch.setattr(health, "_LEAST_FREE", 1 << 62)
    assert ready(app) == (503, "E_DISK")
    monkeypatch.undo()
    (app.folder / "cohorts").rename(app.folder / "elsewhere")
    assert ready(app) == (503, "E_DISK")
    (app.folder / "elsewhere").rename(app.folder / "cohorts")
    assert ready(app) == (200, "")
    app.service.begin_to_end()
    assert ready(app) == (503, "E_ENDING")
    assert app.client().get("/health/live").status_code == 200


def test_a_lost_database_is_not_ready(app: App) -> None:
    app.service.dispatcher.database.close()
    status, _ = ready(app)
    assert status == 503


def test_a_file_of_tokens_that_cannot_be_read_shows(app: App) -> None:
    client = app.client(Principal("prom", "read"))
    assert numbers(client.get("/metrics").text)["gpuprep_tokens_unreadable", ()] == 0
    with (app.folder / "tokens.jsonl").open("a") as file:
        file.write("torn")
    assert numbers(client.get("/metrics").text)["gpuprep_tokens_unreadable", ()] == 1
