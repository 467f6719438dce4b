"""The state of a run: what events make of it, the file that survives, and the command that shows it."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cohorts import write_pair
from support.commands import call
from support.runs import wait_until

import gpuprep
from gpuprep.cli.status_page import status_line, status_page
from gpuprep.ledger.run_state import RunState
from gpuprep.store.layout import STATUS_FILE
from gpuprep.values.errors import CorruptStoreError, StoreError
from gpuprep.values.events import (
    CaseDone,
    CaseFailed,
    CaseStarted,
    RunFinished,
    RunStarted,
    Waiting,
)

pytestmark = pytest.mark.usefixtures("reads_here")


def finished(*, remaining=0, stopped=""):
    return RunFinished(1, 0, 0, remaining, 1.0, 10, 5, stopped)


def test_events_move_the_state():
    state = RunState(started=100.0, updated=100.0)
    for now, event in (
        (101.0, RunStarted(4, 2, "numpy")),
        (104.0, CaseDone("a", skipped=True)),
        (106.0, CaseStarted("b")),
        (107.0, CaseStarted("c")),
        (110.0, CaseDone("b", bytes_in=10, bytes_out=5)),
    ):
        state = state.after(event, now)
    assert (state.done, state.skipped, state.remaining) == (1, 1, 2)
    assert [case for case, _ in state.running] == ["c"]
    assert state.rate == pytest.approx(0.25)
    assert state.eta == pytest.approx(8.0)
    state = state.after(CaseFailed("c", "input", "E_X", "broken"), 111.0)
    assert (state.failed, state.running) == (1, ())


@given(st.lists(st.sampled_from("dfs"), max_size=30), st.integers(0, 5))
def test_every_case_is_counted_once(ends, left):
    events = {
        "d": CaseDone("a"),
        "f": CaseFailed("a", "", "", ""),
        "s": CaseDone("a", skipped=True),
    }
    state = RunState().after(RunStarted(len(ends) + left, 1, "numpy"), 1.0)
    for end in ends:
        state = state.after(events[end], 2.0)
    assert state.remaining == left
    assert RunState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    ("event", "state", "code"),
    [
        (finished(), "finished", 0),
        (finished(remaining=2), "paused", 3),
        (finished(remaining=2, stopped="the disk is full"), "paused", 3),
    ],
)
def test_how_a_run_ends(event, state, code):
    ended = RunState().after(event, 1.0)
    assert (ended.state, ended.exit_code) == (state, code)
    assert replace(ended, failed=1).exit_code == max(code, 1)


def test_what_waits_is_not_in_hand():
    state = RunState(total=2).after(CaseStarted("a"), 1.0)
    assert "in hand" in status_page("out", state).plain
    state = state.after(Waiting("SLURM: Resources"), 2.0)
    page = status_page("out", state).plain
    assert "running, waiting for SLURM: Resources" in page
    assert "in hand" not in page
    assert "waiting for SLURM: Resources" in status_line(state)


def test_status_of_a_finished_run(cohort_folder, tmp_path):
    out = tmp_path / "out"
    call("run", cohort_folder, out, "--scheduler", "serial", check=0)
    shown = call("status", out, check=0).stdout
    assert "finished" in shown
    assert "4 done" in shown
    state = gpuprep.status(out)
    assert (state.state, state.done, state.total) == ("finished", 4, 4)
    assert state.command.startswith("gpuprep run")
    tree = json.loads(call("status", out, "--json", check=0).stdout)
    assert (tree["schema"], tree["remaining"], tree["exit_code"]) == (1, 0, 0)
    assert "finished" in call("status", out, "--watch", check=0).stdout


def test_a_killed_run_is_told_from_a_live_one(tmp_path):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(40):
        write_pair(source, number)
    words = [sys.executable, "-m", "gpuprep.cli.app", "run", source, out, "--scheduler", "serial"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until((out / STATUS_FILE).exists, "the run has told its state")
        alive = gpuprep.status(out)
        process.kill()
    assert alive.state == "running"
    assert alive.pid == process.pid
    shown = call("status", out, check=3).stdout
    assert "died" in shown
    assert "gpuprep.cli.app" not in shown
    assert f"gpuprep run {source} {out} --scheduler serial" in shown
    call("run", source, out, "--scheduler", "serial", check=0)
    assert gpuprep.status(out).remaining == 0


def test_a_run_on_another_machine_lives_while_it_is_heard_of(cohort_folder, tmp_path):
    out = tmp_path / "out"
    gpuprep.run(cohort_folder, out, scheduler="serial", limit=1)
    state = gpuprep.status(out)
    for age, expected in ((5, "running"), (500, "died")):
        heard = replace(state, state="running", machine="elsewhere", updated=time.time() - age)
        (out / STATUS_FILE).write_text(json.dumps(heard.to_json()))
        assert gpuprep.status(out).state == expected


@pytest.mark.parametrize(("age", "expected"), [(5, "running"), (500, "died")])
def test_the_state_of_an_older_version_tells_by_its_silence(cohort_folder, tmp_path, age, expected):
    out = tmp_path / "out"
    gpuprep.run(cohort_folder, out, scheduler="serial", limit=1)
    tree = json.loads((out / STATUS_FILE).read_text())
    del tree["machine"]
    tree |= {"state": "running", "process_started": 1, "updated": time.time() - age}
    (out / STATUS_FILE).write_text(json.dumps(tree))
    assert gpuprep.status(out).state == expected


def test_an_error_that_ends_a_run_is_no_running_run(cohort_folder, tmp_path):
    def break_off(event):
        if isinstance(event, CaseDone):
            raise RuntimeError("a listener's own fault")

    with pytest.raises(RuntimeError, match="own fault"):
        gpuprep.run(cohort_folder, tmp_path / "out", scheduler="serial", listeners=[break_off])
    assert gpuprep.status(tmp_path / "out").state == "died"


def test_what_is_no_output_or_no_state(cohort_folder, tmp_path):
    call("status", tmp_path, check=2)
    out = tmp_path / "out"
    gpuprep.run(cohort_folder, out, scheduler="serial", limit=1)
    (out / STATUS_FILE).write_text("{")
    with pytest.raises(CorruptStoreError):
        gpuprep.status(out)
    (out / STATUS_FILE).unlink()
    with pytest.raises(StoreError, match="no run has left"):
        gpuprep.status(out)
