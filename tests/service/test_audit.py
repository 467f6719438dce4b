"""The audit log: who did what, and nothing that is nobody's business."""

import json
import os
import stat

import pytest
from support.service_app import App

from gpuprep.service.door import audit
from gpuprep.service.door.tokens import Principal

READER = Principal("anna", "read")


@pytest.fixture
def app(tmp_path) -> App:
    return App(tmp_path / "folder")


def lines(app: App) -> list[dict]:
    return [json.loads(line) for line in app.audited().splitlines()]


def test_a_line_tells_who_asked_for_what_and_was_answered_how(app: App) -> None:
    app.client(READER).get("/v1/cohorts/liver")
    app.client().get("/v1/jobs")
    first, second = lines(app)
    told = {key: first[key] for key in ("who", "from", "method", "path", "status")}
    assert told == {
        **{"who": "anna", "from": "127.0.0.1", "method": "GET"},
        **{"path": "/v1/cohorts/liver", "status": 404},
    }
    assert first["time"].endswith("Z")
    assert second["status"] == 401
    assert "who" not in second


def test_what_is_refused_at_the_door_is_told_too(app: App) -> None:
    app.client().get("/v1/jobs", headers={"Host": "evil.example"})
    app.client().post("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert [(line["status"], line["refused"]) for line in lines(app)] == [
        (421, "E_HOST"),
        (403, "E_ORIGIN"),
    ]


def test_no_secret_and_nothing_of_a_case_is_written(app: App) -> None:
    client = app.client(READER)
    token = client._client.headers["authorization"].split()[1]
    code = app.service.sessions.link(Principal("operator", "admin"))
    client.get("/login", params={"code": code})
    client.get("/v1/cohorts/liver/cases", params={"after": "Mueller_Hans"})
    client.get("/v1/cohorts/liver/cases/Mueller_Hans/thumbnail.png")
    client.get("/v1/zarr/liver/cases/Mueller_Hans/c/0/0/0")
    client.get("/v1/cohorts/Hans Mueller")
    client.get("/Mueller_Hans")
    client.post("/v1/jobs", json={"root": "data", "path": "Mueller_Hans", "output": "x"})
    client.request("Mueller_Hans", "/v1/jobs")
    written = app.audited()
    assert len(lines(app)) >= 7
    assert "Mueller" not in written
    assert token not in written
    assert code not in written
    assert "/v1/zarr/liver" in written


def test_reading_chunks_is_told_once_an_hour(app: App, monkeypatch) -> None:
    client = app.client(READER)
    now = [0.0]
    monkeypatch.setattr(audit.time, "monotonic", lambda: now[0])
    for case in range(3):
        client.get(f"/v1/zarr/liver/cases/{case}/zarr.json")
        client.get(f"/v1/zarr/lung/cases/{case}/zarr.json")
    assert [line["path"] for line in lines(app)] == ["/v1/zarr/liver", "/v1/zarr/lung"]
    now[0] += 3601
    client.get("/v1/zarr/liver/zarr.json")
    assert len(lines(app)) == 3


def test_only_its_owner_reads_it(app: App) -> None:
    before = os.umask(0)
    try:
        app.client().get("/v1/jobs")
    finally:
        os.umask(before)
    assert stat.S_IMODE((app.folder / "audit.jsonl").stat().st_mode) == 0o600


def test_health_is_asked_for_too_often_to_tell(app: App) -> None:
    app.client().get("/health/live")
    assert app.audited() == ""


def test_it_does_not_grow_for_ever(app: App, monkeypatch) -> None:
    monkeypatch.setattr(audit, "_MOST_BYTES", 1000)
    for _ in range(40):
        app.client().get("/v1/jobs")
    assert (app.folder / "audit.jsonl").stat().st_size <= 1200
    assert (app.folder / "audit.jsonl.1").stat().st_size <= 1200


def test_a_disk_that_refuses_costs_lines_and_not_answers(app: App, capfd) -> None:
    (app.folder / "audit.jsonl").mkdir()
    assert app.client().get("/v1/jobs").status_code == 401
    assert app.client().get("/v1/jobs").status_code == 401
    assert app.service.audit.lost == 2
    assert capfd.readouterr().err.count("audit.jsonl") == 1
