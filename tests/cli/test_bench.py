"""The bench command: real runs on a tiny cohort, a trace that adds up, nothing left behind."""

import json

import pytest
from support.commands import call


def test_generated_cohort_and_trace(tmp_path):
    words = ("bench", "--cases", 2, "--size", "40,36,20", "--workers", 1, "--json")
    done = call(*words, "--into", tmp_path, "--trace", tmp_path / "trace.json", check=0)
    (measured,) = json.loads(done.stdout)["runs"]
    assert (measured["workers"], measured["cases"], measured["failed"]) == (1, 2, 0)
    assert measured["cases_per_second"] == pytest.approx(2 / measured["seconds"])
    assert measured["peak_bytes"] > 10_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    rows = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    events = [row for row in rows if row["ph"] == "X"]
    named = {row["pid"] for row in rows if row["name"] == "process_name"}
    assert named == {event["pid"] for event in events}
    assert {event["args"]["case"] for event in events} == {"volume-0", "volume-1"}
    assert min(event["ts"] for event in events) == 0
    stages = {stage["name"]: stage["seconds"] for stage in measured["breakdown"]["stages"]}
    for name, seconds in stages.items():
        drawn = sum(event["dur"] for event in events if event["name"] == name)
        assert drawn == pytest.approx(seconds * 1e6)
    ends = max(event["ts"] + event["dur"] for event in events)
    assert ends <= measured["seconds"] * 1e6 + 1e5
    assert measured["cases_per_working_second"] == pytest.approx(2 / (ends / 1e6))


def test_given_cohort_is_kept_and_shown(cohort_folder, tmp_path):
    words = ("--cases", 2, "--workers", 1, "--keep", "--into", tmp_path)
    shown = call("bench", cohort_folder, *words, check=0).stdout
    (kept,) = tmp_path.glob("gpuprep-bench-*")
    report = json.loads((kept / "workers_1" / "report.json").read_text())
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    (speeds,) = (row for row in rows if row and row[0] == "1")
    assert speeds[1:4] == ["2", f"{report['seconds']:.2f} s", f"{2 / report['seconds']:.2f}"]
    assert speeds[-1] == report["breakdown"]["limit"]
    assert "1.00×" in shown
    for name, seconds in report["stage_seconds"].items():
        assert [name, f"{seconds:.2f} s"] in rows
    assert len(list(cohort_folder.iterdir())) == 8


@pytest.mark.parametrize(
    "words", [("--workers", "0"), ("--workers", "a"), ("--size", "3,4"), ("--into", "/nowhere")]
)
def test_wrong_numbers_are_usage_errors(words, tmp_path):
    call("bench", "--into", tmp_path, *words, check=2)
    assert list(tmp_path.iterdir()) == []
