"""Runs on a real SLURM, brought up for them on loopback: whatever it does, a run ends and says why."""

import os
import signal

import pytest
from support.cohorts import contents
from support.runs import wait_until
from support.slurm import missing, real_slurm
from support.slurm_runs import SlurmRun

pytest.importorskip("dask_jobqueue", reason="pip install 'gpuprep[slurm]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"apt install slurm-wlm munge: no {missing()}"),
]

HELD = "after_shards@volume-3=stop:1"
"""The first worker that has this case stops in the middle of it."""


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with real_slurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def slurm(up):
    yield up
    up.clear()


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def begin(slurm, some, output):
    """Starts a run of six cases there."""
    begun = []

    def start(*options, **cluster):
        begun.append(SlurmRun(slurm, some, output, *options, **cluster))
        return begun[-1]

    yield start
    for run in begun:
        run.process.kill()
        run.process.wait()


def untouched(run) -> bool:
    """Whether nothing was counted against any case."""
    return not run.events("case.failed") and not run.report()["failures"]


def test_a_run_on_two_jobs(slurm, begin, clean, output):
    run = begin()
    run.wait_until(lambda: len(slurm.jobs()) == 2, "there are two jobs")
    run.end(0)
    assert contents(output) == clean


def test_a_job_that_is_cancelled_gets_a_successor(slurm, begin, clean, output):
    run = begin("--set", "run.crashes=1", failpoints=HELD)
    job = run.held_job()
    slurm.ask("scancel", job)
    printed = run.end(0)
    assert f"SLURM job {job} ended (CANCELLED); another takes its place" in " ".join(
        printed.split()
    )
    assert untouched(run)
    assert contents(output) == clean


@pytest.mark.parametrize("epilog", ["exit 0", "sleep 8"])
def test_all_jobs_are_cancelled_and_complete_slowly(slurm, begin, clean, output, epilog):
    slurm.epilog(epilog)
    run = begin("--set", "run.crashes=1", failpoints=HELD)
    run.held_job()
    slurm.ask("scancel", *slurm.jobs())
    run.end(0)
    assert untouched(run)
    assert contents(output) == clean
