"""Cases whose workers are taken away, and runs that wait for workers."""

import json
from types import SimpleNamespace

import pytest

from gpuprep.config.model import Run
from gpuprep.executors.base import Outcome
from gpuprep.host.signals import Interrupts
from gpuprep.ledger.run_state import RunState
from gpuprep.preprocess.task import CaseTask
from gpuprep.running import watch
from gpuprep.running.crew import Crew
from gpuprep.values.case import Case
from gpuprep.values.events import CaseDone, CaseStarted, CaseTaken, Waiting

TAKEN = 50  # more often than any error is forgiven


class Preempted:
    """Has a worker every other time; takes it away in the middle of a case, again and again."""

    takes_batches = False
    window = 1
    lost = ""

    def __init__(self, taken: int) -> None:
        self.left = taken
        self.waiting = ""
        self.looks = 0
        self.tasks: list[CaseTask] = []

    @property
    def inflight(self) -> int:
        return len(self.tasks)

    def submit(self, task: CaseTask) -> None:
        self.tasks.append(task)

    def wait(self, seconds: float) -> list[Outcome]:
        self.looks += 1
        self.waiting = "" if self.waiting else "SLURM: Resources"
        if self.waiting:
            return []
        task = self.tasks.pop()
        self.left -= 1
        if self.left >= 0:
            return [Outcome(task, taken="SLURM ended job 7 (PREEMPTED)")]
        return [Outcome(task, done=CaseDone(task.case.id))]

    def state(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.tasks.clear()


@pytest.fixture
def task(tmp_path) -> CaseTask:
    return CaseTask(Case("a", ()), str(tmp_path), "digest")


def test_what_was_taken_is_begun_again_and_nothing_counted(task, tmp_path):
    events, outcomes = [], []
    strict = Run(crashes=1, tries=1, storm=2)
    crew = Crew(lambda: Preempted(TAKEN), Interrupts(1.0), tmp_path, strict, events.append)
    crew.work([task], outcomes.append)
    assert [bool(outcome.done) for outcome in outcomes] == [True]
    assert not crew.stopped
    assert not (tmp_path / "attempts.jsonl").exists()
    assert {event.attempt for event in events if isinstance(event, CaseStarted)} == {1}
    assert sum(isinstance(event, CaseTaken) for event in events) == TAKEN


def test_a_run_that_waits_is_not_stuck_and_says_what_for(task, tmp_path, monkeypatch):
    events, outcomes = [], []
    executor = Preempted(3)
    an_hour = SimpleNamespace(monotonic=lambda: 3600.0 * executor.looks)
    monkeypatch.setattr(watch, "time", an_hour)
    crew = Crew(lambda: executor, Interrupts(1.0), tmp_path, Run(stuck=60.0), events.append)
    crew.work([task], outcomes.append)
    assert not crew.stopped
    assert [event.what for event in events if isinstance(event, Waiting)][:3] == [
        "SLURM: Resources",
        "",
        "SLURM: Resources",
    ]


def test_nothing_is_waited_for_after_ctrl_c(task, tmp_path):
    events, outcomes = [], []
    interrupts = Interrupts(1000.0)
    executor = Preempted(0)
    executor.wait = lambda seconds: []
    executor.waiting = "SLURM: Priority"

    def tell(event):
        events.append(event)
        if isinstance(event, Waiting):
            interrupts._note(2, None)

    with interrupts:
        crew = Crew(lambda: executor, interrupts, tmp_path, Run(), tell)
        crew.work([task], outcomes.append)
    assert not outcomes
    assert crew.halted


def test_the_state_tells_waiting_from_working():
    state = RunState().after(CaseStarted("a"), 1.0).after(Waiting("SLURM: Priority"), 2.0)
    assert state.waiting == "SLURM: Priority"
    assert RunState.from_json(json.loads(json.dumps(state.to_json()))) == state
    state = state.after(Waiting(""), 50.0)
    assert (state.waiting, state.running) == ("", (("a", 50.0),))
    assert state.after(CaseTaken("a", "preempted"), 51.0).running == ()
