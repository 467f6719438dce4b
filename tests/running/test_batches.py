"""Small cases that go to a worker together: which do, and what becomes of them when the worker dies."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.config.model import Run
from gpuprep.executors.base import Outcome
from gpuprep.host.signals import Interrupts
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.batches import MOST_TOGETHER, Batches, Room
from gpuprep.running.crew import Crew
from gpuprep.values.case import Case, Source
from gpuprep.values.events import CaseDone, CaseFailed, CaseStarted

CASES = 400
POISON = "case-200"


def task(name: str, path: object = "", **more: object) -> CaseTask:
    return CaseTask(Case(name, (Source(str(path)),)), "out", "digest", **more)


TASKS = [task(f"case-{number}") for number in range(CASES)]


class Worker:
    """One worker with what waits behind it. It dies of the poison, with all that it was given."""

    takes_batches = True
    window = 4
    lost = waiting = ""

    def __init__(self, poison: str = "", taken: int = 0) -> None:
        self.poison = poison
        self.taken = taken
        self.batches: list[list[CaseTask]] = []
        self.handed_out: list[int] = []

    @property
    def inflight(self) -> int:
        return sum(map(len, self.batches))

    def submit(self, *tasks: CaseTask) -> None:
        assert len(self.batches) < self.window
        self.batches.append(list(tasks))
        self.handed_out.append(len(tasks))

    def wait(self, seconds: float) -> list[Outcome]:
        if any(each.case.id == self.poison for each in self.batches[0]):
            batches, self.batches = self.batches, []
            return [died(each, len(batch) - 1) for batch in batches for each in batch]
        batch = self.batches.pop(0)
        if self.taken and len(batch) > 1:
            self.taken -= 1
            return [Outcome(each, taken="preempted") for each in batch]
        return [Outcome(each, done=CaseDone(each.case.id), seconds=0.001) for each in batch]

    def state(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.batches.clear()


def died(task: CaseTask, beside: int) -> Outcome:
    failure = CaseFailed(task.case.id, "crash", "WORKER_DIED", "its worker died", retry="crash")
    return Outcome(task, failed=failure, beside=beside)


def work(worker: Worker, root: Path) -> tuple[dict[str, Outcome], list[object]]:
    events: list[object] = []
    outcomes: dict[str, Outcome] = {}

    def note(outcome: Outcome) -> None:
        assert outcome.task.case.id not in outcomes
        outcomes[outcome.task.case.id] = outcome

    crew = Crew(lambda: worker, Interrupts(1.0), root, Run(storm=10**6), events.append)
    crew.work(TASKS, note, cases=len(TASKS))
    assert not crew.stopped
    return outcomes, events


def test_small_cases_go_together_and_come_back_one_by_one(tmp_path):
    worker = Worker()
    outcomes, events = work(worker, tmp_path)
    assert len(outcomes) == CASES
    assert len(worker.handed_out) < CASES / 4
    assert 1 < max(worker.handed_out) <= MOST_TOGETHER
    assert sum(isinstance(event, CaseStarted) for event in events) == CASES


def test_a_poison_case_costs_only_itself(tmp_path):
    outcomes, events = work(Worker(POISON), tmp_path)
    failed = {name: outcome.failed.code for name, outcome in outcomes.items() if outcome.failed}
    assert failed == {POISON: "POISON"}
    assert len(outcomes) == CASES
    counted = (tmp_path / "attempts.jsonl").read_text().splitlines()
    assert {json.loads(line)["case"] for line in counted} == {POISON}
    attempts = {(each.case_id, each.attempt) for each in events if isinstance(each, CaseStarted)}
    assert {name for name, attempt in attempts if attempt > 1} == {POISON}


def test_a_batch_that_was_taken_counts_against_no_case(tmp_path):
    outcomes, events = work(Worker(taken=3), tmp_path)
    assert all(outcome.done for outcome in outcomes.values())
    assert not (tmp_path / "attempts.jsonl").exists()
    assert {each.attempt for each in events if isinstance(each, CaseStarted)} == {1}


def test_a_case_that_was_overdue_among_others_is_known(tmp_path):
    (tmp_path / "attempts.jsonl").write_text(
        json.dumps({"task": "prepare", "case": POISON, "class": "deadline"}) + "\n"
    )
    outcomes, events = work(Worker(POISON), tmp_path)
    assert outcomes[POISON].failed.code == "DEADLINE"
    starts = [each for each in events if isinstance(each, CaseStarted)]
    assert sum(each.case_id == POISON for each in starts) == 2, "no third deadline is waited for"


def test_large_cases_and_slow_ones_stay_alone(tmp_path):
    room = Room(slots=4, free=1, left=1000, ready=1000)
    batches = Batches()
    small, large = tmp_path / "small", tmp_path / "large"
    for path, size in ((small, 1000), (large, 1_000_000)):
        path.touch()
        with path.open("r+b") as file:
            file.truncate(size)
    assert batches.limit(room) == 1, "nothing is known of any case"
    for number in range(20):
        assert batches.fits(room, [], task(f"small-{number}", small))
        batches.learn(task(f"small-{number}", small), 0.01)
    assert batches.limit(room) == MOST_TOGETHER
    assert batches.fits(room, [task("a", small)], task("b", small))
    assert not batches.fits(room, [task("a", small)], task("c", large))
    for number in range(101):
        batches.learn(task(f"slow-{number}"), 1.0)
    assert not batches.fits(room, [task("a", small)], task("b", small))
    many = Room(slots=5000, free=1, left=10**6, ready=6000)
    assert batches.fits(many, [task("a", small)], task("b", small)), "one coordinator for so many"


@given(
    st.integers(1, 10_000),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.floats(0, 1, exclude_min=True),
)
def test_the_last_cases_are_for_all_workers(slots, left, ready, busy):
    free = max(1, int(slots * busy))
    batches = Batches()
    for each in TASKS[:16]:
        batches.learn(each, 0.0)
    most = batches.limit(Room(slots, free, left, min(left, ready)))
    assert 1 <= most <= MOST_TOGETHER
    assert most == 1 or (most - 1) * slots < left
    assert most == 1 or (most - 1) * free < min(left, ready)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("gpuprep.running.crew.time.sleep", lambda seconds: None)
