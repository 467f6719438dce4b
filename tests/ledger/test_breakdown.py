"""Where a run's time went: shares, speeds, the limit, and that report.json has it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import call

from gpuprep.ledger.report import break_down
from gpuprep.values.events import RunFinished

pytestmark = pytest.mark.usefixtures("reads_here")

SECONDS = st.floats(0.001, 1e4)


def finished(stages, done=4, seconds=2.0):
    return RunFinished(done, 0, 0, 0, seconds, 8_000_000, 2_000_000, "", stages)


@given(st.dictionaries(st.sampled_from(["read", "measure", "apply", "store"]), SECONDS, min_size=1))
def test_shares_are_those_of_a_whole(stages):
    found = break_down(finished(stages))
    assert sum(stage.share for stage in found.stages) == pytest.approx(1)
    assert 1 / 3 <= found.limit_share <= 1 + 1e-9


@pytest.mark.parametrize(
    ("stages", "limit"),
    [
        ({"read": 5.0, "apply": 1.0, "store": 1.0}, "reading"),
        ({"read": 2.0, "measure": 1.5, "apply": 1.5, "store": 1.0}, "computing"),
        ({"read": 2.0, "apply": 1.0, "store": 1.5, "commit": 1.0}, "writing"),
        ({}, None),
    ],
)
def test_what_limits(stages, limit):
    assert break_down(finished(stages)).limit == limit


def test_speeds_are_bytes_over_the_stage():
    read, store = break_down(finished({"read": 4.0, "store": 0.5})).stages
    assert (read.bytes_per_second, store.bytes_per_second) == (2_000_000, 4_000_000)
    assert break_down(finished({"read": 4.0})).cases_per_second == 2


def test_the_end_of_a_run_says_it(cohort_folder, tmp_path):
    out = tmp_path / "out"
    shown = call("run", cohort_folder, out, "--scheduler", "serial", check=0).stdout
    assert "stage read" in shown
    assert "mostly " in shown
    report = json.loads((out / "report.json").read_text())
    assert report["exit_code"] == 0
    names = [stage["name"] for stage in report["breakdown"]["stages"]]
    assert names[0] == "read"
    assert names[-1] == "commit"
    assert len(report["breakdown"]["slowest"]) == 4
