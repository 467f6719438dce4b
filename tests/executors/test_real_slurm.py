"""Runs on a real SLURM, brought up for them on loopback: whatever it does, a run ends and says why."""

import os
import signal

import pytest
from support.cohorts import contents
from support.runs import wait_until
from support.slurm import CPUS, missing, real_slurm
from support.slurm_runs import SlurmRun

pytest.importorskip("dask_jobqueue", reason="pip install 'gpuprep[slurm]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"apt install slurm-wlm munge: no {missing()}"),
]

HELD = "after_shards@volume-3=hold:1"
"""The first worker that has this case stops in the middle of it, and goes no further when SLURM ends it."""


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
    job = run.job_of(run.held_worker())
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
    run.held_worker()
    slurm.ask("scancel", *slurm.jobs())
    run.end(0)
    assert untouched(run)
    assert contents(output) == clean


def preempt(slurm, job):
    """A job of a better partition wants the node."""
    script = slurm.folder / "urgent.sh"
    script.write_text("#!/bin/sh\nexec sleep 600\n")
    slurm.ask("sbatch", "--job-name=urgent", "--partition=urgent", "--output=/dev/null",
              f"--ntasks={CPUS}", str(script))  # fmt: skip
    wait_until(lambda: job in slurm.jobs("PREEMPTED"), "the job is preempted", 60)
    slurm.ask("scancel", "--name=urgent")


def requeue(slurm, job):
    slurm.ask("scontrol", "update", f"jobid={job}", "requeue=1")
    slurm.ask("scontrol", "requeue", job)
    wait_until(lambda: slurm.jobs().get(job) == "PENDING", "the job waits again", 60)


def lose_node(slurm, job):
    slurm.ask("scontrol", "update", f"jobid={job}", "requeue=0")
    slurm.ask("scontrol", "update", "nodename=node", "state=down", "reason=test")
    wait_until(lambda: job in slurm.jobs("NODE_FAIL"), "the node has failed", 60)
    slurm.ask("scontrol", "update", "nodename=node", "state=resume", check=False)  # it may be up


def reach_walltime(slurm, job):
    slurm.ask("scontrol", "update", f"jobid={job}", "endtime=now")  # seen every half minute
    wait_until(lambda: job in slurm.jobs("TIMEOUT"), "the job's time is over", 60)


def test_what_slurm_takes_away_is_counted_against_no_case(slurm, begin, clean, output):
    losses = [preempt, requeue, lose_node, reach_walltime]
    parts = ["volume-3"[first:] for first in range(len(losses))]  # each counts what comes to it
    held = ",".join(f"after_shards@{part}=hold:1" for part in parts)
    run = begin("--set", "run.crashes=1", failpoints=held, cluster={"workers": 1},
                queue="cheap", directives=["--no-requeue"])  # fmt: skip
    seen = set()
    for loss in losses:
        stopped = run.held_worker(seen)
        seen.add(stopped)
        loss(slurm, run.job_of(stopped))
    run.end(0)
    assert untouched(run)
    assert len(run.events("case.taken")) >= len(losses)
    assert contents(output) == clean


def test_a_case_that_kills_its_worker_is_blamed(begin):
    run = begin(failpoints="after_shards@volume-3=kill")
    assert "POISON" in run.end(1)
    assert {failure["case"] for failure in run.report()["failures"]} == {"volume-3"}


def test_a_refused_job_is_told_and_ends_the_run(begin):
    run = begin(queue="nowhere", cluster={"patience": 3})
    run.wait_for("note SLURM takes no job: sbatch: error: invalid partition specified: nowhere")
    assert "SLURM has taken no job for" in run.end(3)


def test_jobs_that_never_start_end_the_run(begin):
    run = begin(queue="closed", pending=12)
    printed = run.end(3)
    assert "2 of 2 SLURM jobs wait: PartitionDown" in printed
    assert "no SLURM job has started for" in printed


def test_a_controller_that_is_down_is_waited_for(slurm, begin, clean, output):
    slurm.stop("slurmctld")
    run = begin()
    run.wait_for("note SLURM does not answer")
    wait_until(lambda: "waiting for SLURM: no answer" in run.status(), "the status says so")
    slurm.start_controller()
    run.end(0)
    assert contents(output) == clean


def test_a_controller_that_goes_down_in_between(slurm, begin, clean, output):
    run = begin(failpoints="after_shards@volume-3=stop:1,after_shards@volume-5=stop:1")
    worker = run.held_worker()
    slurm.stop("slurmctld")
    run.wait_for("note SLURM does not answer")
    before = run.done
    os.kill(worker, signal.SIGCONT)
    run.wait_until(lambda: run.done > before, "the run goes on")
    slurm.start_controller()
    os.kill(run.held_worker(), signal.SIGCONT)
    run.end(0)
    assert untouched(run)
    assert contents(output) == clean


def test_a_killed_run_is_begun_again(slurm, begin, clean, output):
    first = begin(failpoints=HELD, cluster={"workers": CPUS + 1})
    first.held_worker()
    wait_until(lambda: "PENDING" in slurm.jobs().values(), "a job waits")
    first.process.kill()
    first.process.wait()
    second = begin()
    printed = second.end(0)
    assert "of an earlier run were cancelled" in printed
    assert contents(output) == clean


def test_ctrl_c_while_jobs_wait(slurm, begin):
    run = begin(queue="closed")
    run.wait_for("2 of 2 SLURM jobs wait: PartitionDown")
    wait_until(lambda: "waiting for SLURM: PartitionDown" in run.status(), "the status says so")
    assert "in hand" not in run.status()
    run.interrupt()
    run.end(130)
    assert run.report()["exit_code"] == 130
    assert run.report()["remaining"] == 6


def test_ctrl_c_while_jobs_run(begin, clean, output):
    run = begin("--set", "run.drain=2", failpoints=HELD, cluster={"workers": CPUS + 1})
    run.held_worker()
    run.interrupt()
    run.end(130)
    assert run.report()["exit_code"] == 130
    assert run.report()["remaining"] == 6 - run.done > 0
    assert begin().end(0)
    assert contents(output) == clean
