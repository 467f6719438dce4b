"""``gpuprep jobs`` over a service at work: words, looks and exit codes as of ``run`` and ``status``."""

import json
import signal
import subprocess

import pytest
from support.commands import call
from support.receiver import Received, Reply, receiving
from support.runs import wait_until
from support.serving import COMMAND, Served

SPACING = "image.resample.spacing=[1,1,1.5]"
SERIAL = ("--executor", "serial")


@pytest.fixture(autouse=True)
def _environment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with served.ask():  # makes the token
        pass
    monkeypatch.setenv("GPUPREP_URL", served.url)
    monkeypatch.setenv("GPUPREP_TOKEN", served.tokens["submit"])


def submitted(*words: object) -> str:
    return json.loads(call("jobs", "submit", *words, *SERIAL, "--json", check=0).stdout)["id"]


def test_a_job_from_the_shell(tmp_path) -> None:
    (tmp_path / "ct.yaml").write_text("image: {resample: {spacing: [2, 2, 2]}}")
    words = ("data:good", "shell", "-c", tmp_path / "ct.yaml", "--set", SPACING, *SERIAL)
    printed = call("jobs", "submit", *words, "--watch", check=0).stdout
    assert printed.startswith("job ")  # with its id, and its place in the queue if it still waits
    assert "3 cases, 1 worker, backend numpy" in printed
    assert printed.count("done volume-") == 3
    assert "3 done in" in printed
    (job,) = json.loads(call("jobs", "list", "--cohort", "shell", "--json", check=0).stdout)["jobs"]
    assert job["config"] == {"image": {"resample": {"spacing": [1, 1, 1.5]}}}
    shown = call("jobs", "show", job["id"], check=0).stdout
    assert "succeeded" in shown
    assert "3: 3 done, 0 already done, 0 failed, 0 to do" in shown
    assert job["id"] in call("jobs", "list", check=0).stdout
    watched = call("jobs", "watch", job["id"], "--json", check=0)
    assert json.loads(watched.stdout)["state"] == "succeeded"
    assert "done volume-" in watched.stderr


def test_landmarks_of_this_machine_are_sent_as_the_numbers_they_hold(tmp_path) -> None:
    row = {"channel": "CT", "percentiles": [1, 99], "standard": [0, 50]}
    (tmp_path / "landmarks.json").write_text(json.dumps({"nyul": [row]}))
    steps = "{image: {intensity: [{nyul: {landmarks: landmarks.json, over: image}}]}}"
    (tmp_path / "mr.yaml").write_text(steps)
    words = ("data:good", "scaled", "-c", tmp_path / "mr.yaml", *SERIAL, "--watch")
    assert "3 done in" in call("jobs", "submit", *words, check=0).stdout
    (job,) = json.loads(call("jobs", "list", "--cohort", "scaled", "--json", check=0).stdout)[
        "jobs"
    ]
    (step,) = job["config"]["image"]["intensity"]
    assert step == {"nyul": {"over": "image", "percentiles": [1, 99], "standard": {"CT": [0, 50]}}}


def test_what_failed_is_shown_and_retried_only_on_yes() -> None:
    job = submitted("data:mixed", "shell-mixed")
    watched = call("jobs", "watch", job, check=1).stdout
    assert "failed volume-1" in watched
    assert f"gpuprep jobs retry {job}" in watched
    shown = call("jobs", "show", job, check=1).stdout
    code = json.loads(call("jobs", "show", job, "--json", check=1).stdout)["failures"][0]["code"]
    assert code in shown
    told = call("jobs", "retry", job, check=0).stdout
    assert "1 case to do again; nothing was done: add --yes" in told
    assert "nothing to do" in call("jobs", "retry", job, "--code", "E_NO", check=0).stdout
    listed = call("jobs", "list", "--cohort", "shell-mixed", "--json", check=0).stdout
    assert len(json.loads(listed)["jobs"]) == 1
    call("jobs", "retry", job, "--code", code, "--yes", "--watch", check=1)


def test_a_job_that_was_cancelled_exits_as_one_that_was_interrupted() -> None:
    submitted("data:good", "before")
    job = submitted("data:good", "withdrawn")
    assert json.loads(call("jobs", "cancel", job, "--json").stdout)["id"] == job
    call("jobs", "watch", job, check=130)
    assert "gpuprep jobs resume" in call("jobs", "show", job, check=130).stdout
    call("jobs", "resume", job, "--watch", check=0)


def test_a_plan_is_shown_and_nothing_submitted() -> None:
    told = call("jobs", "submit", "good", "unmade", "--root", "data", "--dry-run", check=0).stdout
    assert "3 cases" in told
    plan = call("jobs", "submit", "data:good", "unmade", "--dry-run", "--json", check=0).stdout
    assert json.loads(plan)["cases"] == 3
    assert call("jobs", "list", "--cohort", "unmade", check=0).stdout == "no job\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("submit", "good", "x"), "ROOT:PATH"),
        (("submit", "data:good", "x", "--profile", "p", "--set", SPACING), "--profile"),
        (("submit", "nowhere:good", "x"), "no root"),
        (("submit", "data:good", "x", "--set", "cluster.kind=existing"), "operator"),
        (("show", "0" * 20), "no such job"),
        (("watch", "../cohorts"), "not the id of a job"),
        (("list", "--token-file", "/nowhere"), "--token-file"),
        (("list", "--url", "node7"), "not the address"),
        (("list", "--url", "http://node7"), "read the token"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(words, told) -> None:
    done = call("jobs", *words, check=2)
    assert told in done.stderr
    assert json.loads(call("jobs", *words, "--json", check=2).stdout)["exit_code"] == 2


def test_a_token_may_lie_in_a_file(tmp_path, monkeypatch, served: Served) -> None:
    monkeypatch.delenv("GPUPREP_TOKEN")
    call("jobs", "list", check=2)
    (tmp_path / "token").write_text(served.tokens["submit"] + "\n")
    call("jobs", "list", "--token-file", tmp_path / "token", check=0)


def test_ctrl_c_leaves_the_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"id": "0" * 20, "owner": "a", "state": "running", "root": "r", "path": "", "output": "o"}

    def answer(_: int, request: Received) -> Reply:
        if request.path.endswith("/events"):  # more is announced than ever comes
            return Reply(200, b": here\n\n", {"Content-Length": "1000"})
        return Reply(200, json.dumps(job).encode())

    with receiving(answer) as receiver:
        monkeypatch.setenv("GPUPREP_URL", receiver.url)
        line = [*COMMAND, "jobs", "watch", job["id"]]
        process = subprocess.Popen(line, stdout=-1, stderr=-1, text=True)
        wait_until(lambda: len(receiver.received) > 1, "it follows the job")
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert f"gpuprep jobs cancel {job['id']}" in told
    assert {request.method for request in receiver.received} == {"GET"}
