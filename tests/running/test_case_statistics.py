"""Statistics of a cohort kept case by case: what changes is measured, nothing else; the sum is the same."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.cohorts import contents, run, run_told, write_pair

import gpuprep
from gpuprep.cli.status_page import status_line
from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config
from gpuprep.executors import task
from gpuprep.ledger import statistics
from gpuprep.ledger.fingerprint import (
    Fingerprint,
    load_fingerprint,
    older_key,
    save_fingerprint,
)
from gpuprep.ledger.prune import prune
from gpuprep.ledger.run_state import RunState
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.events import CaseMeasured, CohortPass, RunStarted

pytestmark = pytest.mark.usefixtures("reads_here")

COHORT = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
KEEP = {**COHORT, "run": {"statistics": "keep"}}


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """Cases that were measured, in their order."""
    names: list[str] = []
    measure = task.measure_case

    def counting(each: CaseTask, *more):
        names.append(each.case.id)
        return measure(each, *more)

    monkeypatch.setattr(task, "measure_case", counting)
    return names


@pytest.fixture
def out(cohort_folder, tmp_path) -> Path:
    """An output of four cases."""
    run(cohort_folder, tmp_path / "out", COHORT)
    return tmp_path / "out"


def notices(source: Path, out: Path, config=COHORT, **options) -> list[str]:
    return run_told(source, out, config, **options)[1]


def is_as_if_fresh(source: Path, out: Path, tmp_path: Path) -> bool:
    """Whether statistics and cases are those of one run over all that is there now, to the bit."""
    fresh = tmp_path / "fresh"
    run(source, fresh, COHORT)
    ours, theirs = ((each / "fingerprint.json").read_bytes() for each in (out, fresh))
    return ours == theirs and contents(out) == contents(fresh)


def test_a_new_case_costs_itself(cohort_folder, tmp_path, out, measured):
    write_pair(cohort_folder, 7)
    assert run(cohort_folder, out, COHORT).exit_code == 0
    assert measured == ["volume-7"]
    assert is_as_if_fresh(cohort_folder, out, tmp_path)


def test_a_case_that_changed_or_left_costs_no_other(cohort_folder, tmp_path, out, measured):
    write_pair(tmp_path, 9)
    (tmp_path / "volume-9.nii.gz").replace(cohort_folder / "volume-3.nii.gz")
    (tmp_path / "segmentation-9.nii.gz").replace(cohort_folder / "segmentation-3.nii.gz")
    for name in ("volume-0", "segmentation-0"):
        (cohort_folder / f"{name}.nii.gz").unlink()
    assert run(cohort_folder, out, COHORT).exit_code == 0
    assert measured == ["volume-3"]
    prune(out)
    assert is_as_if_fresh(cohort_folder, out, tmp_path)


def test_a_damaged_case_is_tried_again_by_itself(cohort_folder, tmp_path, measured):
    out, file = tmp_path / "out", cohort_folder / "volume-2.nii.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    report = run(cohort_folder, out, COHORT)
    assert [failure.case_id for failure in report.failures] == ["volume-2"]
    kept = (out / "fingerprint.json").read_bytes()
    measured.clear()
    report = run(cohort_folder, out, COHORT)
    assert [failure.case_id for failure in report.failures] == ["volume-2"]
    assert (measured, report.finished.skipped) == (["volume-2"], 3)
    assert (out / "fingerprint.json").read_bytes() == kept
    file.write_bytes(whole)
    measured.clear()
    assert run(cohort_folder, out, COHORT).exit_code == 0
    assert measured == ["volume-2"]
    assert is_as_if_fresh(cohort_folder, out, tmp_path)


def test_ctrl_c_loses_nothing(cohort_folder, tmp_path, monkeypatch, measured):
    out, measure = tmp_path / "out", task.measure_case

    def interrupted(each: CaseTask, *more):
        if each.case.id == "volume-2":
            raise KeyboardInterrupt
        return measure(each, *more)

    with monkeypatch.context() as patch:
        patch.setattr(task, "measure_case", interrupted)
        assert run(cohort_folder, out, COHORT).finished.stopped == "interrupted"
    assert measured == ["volume-0", "volume-1"]
    measured.clear()
    assert run(cohort_folder, out, COHORT).exit_code == 0
    assert measured == ["volume-2", "volume-3"]
    assert is_as_if_fresh(cohort_folder, out, tmp_path)


def test_a_damaged_line_costs_its_case(cohort_folder, tmp_path, out, measured):
    lines = (out / "statistics.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"start": -', b'"start": -1')
    (out / "statistics.jsonl").write_bytes(b"".join(lines)[:-5])
    (out / "fingerprint.json").unlink()
    told = notices(cohort_folder, out)
    assert any("2 lines of statistics.jsonl are damaged" in text for text in told)
    assert measured == ["volume-1", "volume-3"]
    assert is_as_if_fresh(cohort_folder, out, tmp_path)


def test_statistics_of_an_older_version_are_taken_as_they_are(cohort_folder, out, measured):
    (out / "statistics.jsonl").unlink()
    cases = discover(cohort_folder).cases
    older = replace(load_fingerprint(out), key=older_key(cases, parse_config(COHORT).digest))
    save_fingerprint(out, older)
    assert run(cohort_folder, out, COHORT).finished.skipped == 4
    assert not measured
    assert load_fingerprint(out).key != older.key


def test_outdated_lines_are_taken_out(cohort_folder, out, monkeypatch, measured):
    lines = (out / "statistics.jsonl").read_bytes()
    (out / "statistics.jsonl").write_bytes(9 * lines)
    (out / "fingerprint.json").unlink()
    monkeypatch.setattr(statistics, "_SPARE", 3)
    assert run(cohort_folder, out, COHORT).finished.skipped == 4
    assert (out / "statistics.jsonl").read_bytes() == lines
    assert not measured


def test_lines_that_are_too_long_are_told(cohort_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "LARGE_BYTES", 100)
    monkeypatch.setattr(statistics, "ROOM_BYTES", 5000)
    told = notices(cohort_folder, tmp_path / "out")
    kept = (tmp_path / "out" / "statistics.jsonl").read_bytes()
    assert len(kept) <= 5000
    left = 4 - len(kept.splitlines())
    assert left > 0
    assert any(f"of {left} cases are too long to be kept" in text for text in told)


def test_kept_statistics_make_nothing_anew(cohort_folder, out, measured):
    before = contents(out)
    write_pair(cohort_folder, 7)
    told = notices(cohort_folder, out, KEEP)
    assert any("those of 4 cases, as they were stored" in text for text in told)
    assert not measured
    after = contents(out)
    assert {path: after[path] for path in before} == before
    cohort = gpuprep.open(out)
    assert len({case.record["digest"] for case in cohort.values()}) == 1
    old, new = (cohort[name].record["intensity"][0] for name in ("volume-0", "volume-7"))
    assert (new["scale"], new["offset"]) == (old["scale"], old["offset"])
    assert json.loads((out / "gpuprep.json").read_text())["config"]["run"]["statistics"] == "keep"
    assert run(cohort_folder, out, COHORT).finished.done == 5
    assert measured == ["volume-7"]


def test_statistics_of_another_config_are_not_kept(cohort_folder, out, measured):
    other = {"image": {**COHORT["image"], "foreground": {"where": "label"}}, "run": KEEP["run"]}
    assert run(cohort_folder, out, other, overwrite=True).finished.done == 4
    assert len(measured) == 4


def test_how_far_the_pass_is():
    state = RunState(state="running").after(RunStarted(5, 1, "numpy"), 1.0)
    state = state.after(CohortPass(5, known=2), 2.0).after(CaseMeasured("a"), 3.0)
    assert "measuring 3 of 5 cases" in status_line(state)
    assert "measuring" not in status_line(replace(state, began=4.0))


def test_events_of_the_pass(cohort_folder, out):
    write_pair(cohort_folder, 7)
    heard: list[object] = []
    run(cohort_folder, out, COHORT, listeners=[heard.append])
    passes = [each for each in heard if isinstance(each, CohortPass | CaseMeasured)]
    assert passes == [CohortPass(5, known=4), CaseMeasured("volume-7")]
    assert Fingerprint() != load_fingerprint(out)
