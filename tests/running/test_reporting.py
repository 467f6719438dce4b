"""The files about the whole cohort that a run leaves on request, in a folder and on an object store."""

import csv
import io
import json
from pathlib import Path

import pytest
from support.cohorts import CONFIG, contents, run, write_pairs
from support.commands import call

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.store.places import ObjectPath
from gpuprep.values.errors import ConfigError
from gpuprep.values.events import Notice

ASKED = {"report": {"html": True, "csv": "numbers.csv"}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "in", 2)


def ids_of(content: bytes) -> list[str]:
    return [row["case"] for row in csv.DictReader(io.StringIO(content.decode()))]


def test_they_are_written_at_the_end_and_change_no_case(source, tmp_path):
    told = []
    run(source, tmp_path / "plain")
    asked = run(source, tmp_path / "out", CONFIG | ASKED, listeners=[told.append])
    assert asked.exit_code == 0
    out = tmp_path / "out"
    assert b"volume-1" in (out / "report.html").read_bytes()
    assert ids_of((out / "numbers.csv").read_bytes()) == ["volume-0", "volume-1"]
    texts = [event.message for event in told if isinstance(event, Notice)]
    assert texts == [f"report: {out / 'report.html'}", f"report: {out / 'numbers.csv'}"]
    assert contents(out) == contents(tmp_path / "plain")
    assert (out / "gpuprep.json").read_bytes() == (tmp_path / "plain/gpuprep.json").read_bytes()


def test_the_next_run_writes_them_anew_with_what_is_there_then(source, tmp_path):
    run(source, tmp_path / "out", CONFIG | ASKED, limit=1)
    assert ids_of((tmp_path / "out/numbers.csv").read_bytes()) == ["volume-0"]
    again = run(source, tmp_path / "out", CONFIG | ASKED)
    assert (again.finished.done, again.finished.skipped) == (1, 1)
    assert ids_of((tmp_path / "out/numbers.csv").read_bytes()) == ["volume-0", "volume-1"]


def test_failures_are_those_after_the_run(source, tmp_path):
    broken = source / "volume-1.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:900])
    assert run(source, tmp_path / "out", CONFIG | ASKED).exit_code == 1
    assert b"E_TRUNCATED" in (tmp_path / "out/report.html").read_bytes()
    broken.write_bytes(whole)
    assert run(source, tmp_path / "out", CONFIG | ASKED).exit_code == 0
    assert b"E_TRUNCATED" not in (tmp_path / "out/report.html").read_bytes()


def test_a_cohort_of_failures_has_a_header_and_no_row(source, tmp_path):
    for file in source.glob("volume-*"):
        file.write_bytes(file.read_bytes()[:900])
    out, told = tmp_path / "out", []
    report = run(source, out, CONFIG | {"report": {"csv": True}}, listeners=[told.append])
    assert (report.exit_code, report.finished.failed) == (1, 2)
    texts = [event.message for event in told if isinstance(event, Notice)]
    assert f"report: {out / 'cohort.csv'}" in texts
    assert ids_of((out / "cohort.csv").read_bytes()) == []
    again = call("report", out, "--csv", tmp_path / "again.csv", check=0)
    assert "0 cases, 0 outliers" in again.stdout
    assert f"written: {tmp_path / 'again.csv'}" in again.stdout
    assert (tmp_path / "again.csv").read_bytes() == (out / "cohort.csv").read_bytes()


def test_what_cannot_be_written_is_told_and_costs_the_run_nothing(source, tmp_path):
    (tmp_path / "out").mkdir()
    told = []
    run(source, tmp_path / "out", CONFIG)
    (tmp_path / "out/report.html").mkdir()
    done = run(source, tmp_path / "out", CONFIG | ASKED, listeners=[told.append])
    assert done.exit_code == 0
    texts = [event.message for event in told if isinstance(event, Notice)]
    assert texts[0].startswith("report.html: report.html was not written: cannot write ")
    assert (tmp_path / "out/numbers.csv").is_file()


def test_a_name_is_one_file_of_its_kind():
    for wrong in ("../x.html", "a/b.html", ".x.html", "x.csv", "", "x.html\n"):
        with pytest.raises(ConfigError):
            parse_config({"report": {"html": wrong}})
    assert parse_config({"report": {"csv": "a b.csv"[2:]}}).report.names == {"csv": "b.csv"}


def test_an_object_store_gets_them_too(source, request):
    pytest.importorskip("obstore")
    pytest.importorskip("moto.server")
    url = request.getfixturevalue("url")
    assert run(source, url, CONFIG | ASKED).exit_code == 0
    assert b"volume-1" in (ObjectPath(url) / "report.html").read_bytes()
    assert ids_of((ObjectPath(url) / "numbers.csv").read_bytes()) == ["volume-0", "volume-1"]
    assert list(gpuprep.open(url)) == ["volume-0", "volume-1"]
    call("report", url, check=0)
    assert run(source, url, CONFIG).finished.skipped == 2


def test_the_command_writes_beside_the_cases_or_where_it_is_told(source, tmp_path):
    run(source, tmp_path / "out")
    printed = call("report", tmp_path / "out", check=0).stdout
    assert f"written: {tmp_path / 'out/report.html'}" in printed
    assert "2 cases, 0 outliers, pictures of 2" in printed
    files = {kind: tmp_path / f"there.{kind}" for kind in ("html", "csv")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", file)]
    (tmp_path / "out/report.html").unlink()
    told = json.loads(call("report", tmp_path / "out", *options, "--json", check=0).stdout)
    assert told["files"] == [str(file) for file in files.values()]
    assert told["cases"] == 2
    assert not (tmp_path / "out/report.html").exists()
    assert ids_of(files["csv"].read_bytes()) == ["volume-0", "volume-1"]
    page = files["html"].read_text()
    assert page.count("data:image/jpeg") == 2
    call("report", tmp_path / "out", "--html", files["html"], "--pictures", 0, check=0)
    assert files["html"].read_text().count("data:image/jpeg") == 0


def test_cases_that_left_the_input_are_told(source, tmp_path):
    run(source, tmp_path / "out")
    for file in source.glob("*-1.nii.gz"):
        file.unlink()
    run(source, tmp_path / "out", CONFIG | ASKED)
    assert "volume-1" in call("report", tmp_path / "out", check=0).stdout
    page = (tmp_path / "out/report.html").read_text()
    assert "1 case" in page.split("What stands out")[0]


def test_the_command_refuses_what_it_cannot_do(source, tmp_path):
    run(source, tmp_path / "out")
    assert "not a cohort" in call("report", tmp_path, check=2).stderr
    assert "cannot write" in call("report", tmp_path / "out", "--csv", tmp_path, check=2).stderr
    service = call("report", "http://127.0.0.1:9/v1/zarr/liver", check=2)
    assert "read only" in service.stderr
    assert "--html FILE" in service.stderr
    away = call("report", tmp_path / "out", "--html", "s3://bucket/x.html", check=2)
    assert "cannot write s3:/bucket" in away.stderr
