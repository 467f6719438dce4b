"""The run's own list of jobs against a SLURM that refuses, forgets, completes slowly or says nothing."""

import itertools

import pytest

from gpuprep.config.cluster import ClusterSpec, Slurm
from gpuprep.executors.clusters import slurm_jobs, slurm_patience
from gpuprep.executors.clusters.slurm_client import Job, SlurmRefusal
from gpuprep.executors.clusters.slurm_jobs import JobKeeper, Standing
from gpuprep.executors.clusters.slurm_patience import SlurmPatience
from gpuprep.values.errors import RunStopped


class Batch:
    """What SLURM has; a test changes it."""

    def __init__(self):
        self.jobs = {}
        self.refusal = ""
        self.silence = ""
        self.submitted = 0
        self.now = 1000.0

    def submit(self, script):
        self.submitted += 1
        if self.refusal:
            raise SlurmRefusal(self.refusal)
        number = str(self.submitted)
        self.jobs[number] = "PENDING"
        return number

    def jobs_named(self, name):
        if self.silence:
            raise SlurmRefusal(self.silence)
        return {number: Job(number, state) for number, state in self.jobs.items()}

    def cancel(self, numbers):
        for number in numbers:
            self.jobs[number] = "CANCELLED"

    def past_state(self, number):
        return ""

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def batch(monkeypatch):
    batch = Batch()
    for name in ("submit", "jobs_named", "cancel", "past_state"):
        monkeypatch.setattr(slurm_jobs, name, getattr(batch, name))
    for module in (slurm_jobs, slurm_patience):
        monkeypatch.setattr(module, "time", batch)
    return batch


def living(batch):
    return [number for number, state in batch.jobs.items() if Job(number, state).lives]


@pytest.mark.parametrize("end", ["CANCELLED", "FAILED", "PREEMPTED", "COMPLETED", "gone"])
def test_a_job_that_ended_gets_one_successor(batch, end):
    keeper = JobKeeper("script", "name", 2)
    keeper.look()
    batch.jobs["1"] = end
    if end == "gone":
        del batch.jobs["1"]
    keeper.look()
    keeper.look()
    assert living(batch) == ["2", "3"]


def test_a_job_is_not_followed_while_it_may_come_back(batch):
    keeper = JobKeeper("script", "name", 1)
    keeper.look()
    batch.jobs["1"] = "COMPLETING"
    assert keeper.look().unsettled
    assert batch.submitted == 1
    batch.jobs["1"] = "PENDING"  # requeued
    keeper.look()
    assert batch.submitted == 1


def test_a_node_that_cannot_end_a_job_holds_nobody_up(batch):
    keeper = JobKeeper("script", "name", 1)
    keeper.look()
    batch.jobs["1"] = "COMPLETING"
    keeper.look()
    batch.now += 400
    keeper.look()
    assert batch.submitted == 2


def test_a_refusal_is_told_and_tried_again_less_and_less_often(batch):
    keeper = JobKeeper("script", "name", 1)
    batch.refusal = "invalid partition"
    tries = []
    for _ in range(600):
        before = batch.submitted
        assert keeper.look().refused == "invalid partition"
        tries += [batch.now] * (batch.submitted - before)
        batch.now += 1
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses == [5, 10, 20, 40, 80, 120, 120, 120]
    batch.refusal = ""
    batch.now += 120
    assert keeper.look().refused == ""
    assert len(living(batch)) == 1


def test_what_an_earlier_run_left_is_cancelled_and_a_lost_answer_is_made_up_for(batch):
    batch.jobs = {"70": "PENDING", "71": "RUNNING", "72": "FAILED"}
    keeper = JobKeeper("script", "name", 1)
    assert keeper.look().swept == 2
    assert living(batch) == ["1"]
    batch.jobs["1"] = "CANCELLED"
    batch.jobs["80"] = "PENDING"  # taken, though sbatch said it had timed out
    keeper.look()
    assert living(batch) == ["80"]


def test_silence_changes_nothing(batch):
    keeper = JobKeeper("script", "name", 2)
    known = keeper.look().jobs
    batch.silence = "Unable to contact slurm controller"
    standing = keeper.look()
    assert (standing.silent, standing.jobs) == (batch.silence, known)
    assert keeper.take_back() == batch.silence
    batch.silence = ""
    assert keeper.take_back() == ""
    assert not living(batch)


@pytest.mark.parametrize(
    ("state", "restarts", "taken"),
    [
        ("RUNNING", 0, ""),
        ("RUNNING", 1, "REQUEUED"),
        ("PENDING", 1, "REQUEUED"),
        ("SUSPENDED", 0, "SUSPENDED"),
        ("NODE_FAIL", 0, "NODE_FAIL"),
        ("OUT_OF_MEMORY", 0, ""),
        ("FAILED", 0, ""),
        ("", 0, ""),
    ],
)
def test_what_was_taken_from_a_worker(state, restarts, taken):
    assert Job("1", state, restarts).taken_from(0) == taken


def standing(*states, **said):
    jobs = {
        str(number): Job(str(number), state, 0, "Resources") for number, state in enumerate(states)
    }
    return Standing(0.0, jobs, **said)


@pytest.mark.parametrize(
    ("seen", "seconds", "words"),
    [
        (standing("PENDING"), 5000, "no SLURM job has started for .* Resources"),
        (standing(refused="no account"), 60, "taken no job for .* no account"),
        (standing("PENDING", silent="down"), 60, "not answered for .* down"),
        (standing("RUNNING"), 60, "none of their workers has joined"),
    ],
)
def test_patience_ends_and_says_why(batch, tmp_path, seen, seconds, words):
    spec = ClusterSpec(kind="slurm", patience=60, slurm=Slurm(pending=5000))
    judge = SlurmPatience(spec, 1, tmp_path, lambda event: None)
    batch.now += seconds
    judge.see(seen, workers=0)
    batch.now += 1
    judge.see(seen, workers=1)  # all is forgotten
    batch.now += seconds
    judge.see(seen, workers=0)
    batch.now += 1
    with pytest.raises(RunStopped, match=words):
        judge.see(seen, workers=0)


def test_each_thing_is_told_once(batch, tmp_path):
    told = []
    judge = SlurmPatience(ClusterSpec(kind="slurm", slurm=Slurm()), 3, tmp_path, told.append)
    for _ in range(3):
        judge.see(standing("PENDING", "RUNNING", "PREEMPTED", "COMPLETED"), workers=1)
    assert sorted(notice.message for notice in told) == [
        "1 of 3 SLURM jobs wait: Resources",
        "SLURM job 2 ended (PREEMPTED); another takes its place",
    ]
