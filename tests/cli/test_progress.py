"""What a run says of itself while it goes on, where there is no terminal to redraw."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from gpuprep.cli import progress
from gpuprep.cli.progress import ProgressView
from gpuprep.values.events import CaseDone, CaseMeasured, CaseStarted, CohortPass, RunStarted


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def view(clock, printed) -> ProgressView:
    return ProgressView(Console(file=printed, width=200), live=False)


def test_the_time_left_counts_only_what_this_run_does(view, clock, printed):
    view(RunStarted(1000, 1, "numpy"))
    for number in range(900):
        view(CaseDone(f"done-{number}", skipped=True))
    clock.now += 60.0  # of looking for the others
    for number in range(10):
        view(CaseStarted(f"new-{number}"))
        clock.now += 2.0
        view(CaseDone(f"new-{number}"))
    last = printed.getvalue().splitlines()[-1]
    assert "about 3 min" in last, "90 cases or some more, of 2 s each"
    assert "0.50 cases/s" in last


def test_a_run_that_only_looks_says_so(view, clock, printed):
    view(RunStarted(1000, 1, "numpy"))
    clock.now += 60.0
    view(CaseDone("done-1", skipped=True))
    assert "1/1000 cases, looking for those to do" in printed.getvalue()


def test_the_pass_over_the_cohort_is_counted(view, clock, printed):
    view(RunStarted(1000, 1, "numpy"))
    view(CohortPass(1000, known=400))
    clock.now += 60.0
    view(CaseMeasured("a"))
    assert "measuring 401/1000 cases" in printed.getvalue()
