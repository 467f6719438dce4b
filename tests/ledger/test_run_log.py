"""The log of a run: one JSON line per event, bounded, and silent about what is in the scans."""

import json
import logging
from datetime import datetime

import gpuprep
from gpuprep.ledger.log import RunLog
from gpuprep.values.events import CaseFailed, CaseStarted, RunStarted


def lines(output):
    (path,) = (output / "logs").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_has_its_line(cohort_folder, tmp_path):
    (cohort_folder / "volume-3.nii.gz").write_bytes(b"SECRET^NAME not gzip")
    gpuprep.run(cohort_folder, tmp_path / "out", scheduler="serial")
    logged = lines(tmp_path / "out")
    names = [line["event"] for line in logged]
    assert names[0] == "run.started"
    assert names[-1] == "run.finished"
    assert names.count("case.started") == 4
    assert names.count("case.done") == 3
    (failed,) = [line for line in logged if line["event"] == "case.failed"]
    assert (failed["case"], failed["attempt"], failed["kind"]) == ("volume-3", 1, "input")
    assert all(
        datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0 for line in logged
    )


def test_no_message_and_no_path_is_logged(tmp_path):
    log = RunLog(tmp_path)
    log(RunStarted(1, 1, "numpy"))
    log(CaseStarted("a", attempt=2))
    log(CaseFailed("a", "input", "E_X", "PatientName DOE", "ask DOE", "/scans/DOE", "DOE"))
    assert "DOE" not in json.dumps(lines(tmp_path))
    assert lines(tmp_path)[-1]["attempt"] == 2


def test_a_log_is_bounded(tmp_path):
    log = RunLog(tmp_path, most_bytes=2_000)
    log(RunStarted(1, 1, "numpy"))
    for number in range(500):
        log(CaseStarted(f"case_{number}"))
    assert sum(path.stat().st_size for path in (tmp_path / "logs").iterdir()) < 5_000
    assert len(list((tmp_path / "logs").iterdir())) == 2


def test_old_runs_are_dropped(tmp_path):
    (tmp_path / "logs").mkdir()
    for number in range(30):
        (tmp_path / "logs" / f"run-2020010{number:03}.jsonl").touch()
    log = RunLog(tmp_path)
    log(RunStarted(1, 1, "numpy"))
    assert len(list((tmp_path / "logs").iterdir())) == 20


def test_python_logging_is_quiet_unless_asked(cohort_folder, tmp_path, caplog, capfd):
    gpuprep.run(cohort_folder, tmp_path / "a", scheduler="serial", limit=1)
    assert capfd.readouterr() == ("", "")
    with caplog.at_level(logging.INFO, logger="gpuprep"):
        gpuprep.run(cohort_folder, tmp_path / "b", scheduler="serial", limit=1)
    assert any("case.done" in record.getMessage() for record in caplog.records)
