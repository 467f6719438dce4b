"""Looking for the cases that are not done yet: it holds up neither what is done meanwhile nor Ctrl-C."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from gpuprep.config.model import Run
from gpuprep.executors.base import Outcome
from gpuprep.host.signals import Interrupts
from gpuprep.preprocess.task import CaseTask
from gpuprep.running import backlog
from gpuprep.running.crew import Crew
from gpuprep.values.case import Case
from gpuprep.values.events import CaseDone

FIRST = CaseTask(Case("first", ()), "out", "digest")
LAST = CaseTask(Case("last", ()), "out", "digest")
DONE = 100_000


class Prompt:
    """Has done a case as soon as it is asked."""

    takes_batches = True
    window = 4
    lost = waiting = ""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.tasks: list[CaseTask] = []

    @property
    def inflight(self) -> int:
        return len(self.tasks)

    def submit(self, *tasks: CaseTask) -> None:
        self.tasks += tasks

    def wait(self, seconds: float) -> list[Outcome]:
        self.waits.append(seconds)
        ended, self.tasks = self.tasks, []
        return [Outcome(task, done=CaseDone(task.case.id)) for task in ended]

    def state(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.tasks.clear()


@pytest.fixture
def looks(monkeypatch) -> list[int]:
    """How many cases were looked at, a millisecond each."""
    seen = [0]
    monkeypatch.setattr(backlog, "time", SimpleNamespace(monotonic=lambda: seen[0] / 1000))
    return seen


def cohort(looks: list[int]) -> Iterator[CaseTask | None]:
    yield FIRST
    for _ in range(DONE):
        looks[0] += 1
        yield None
    yield LAST


def test_a_case_is_noted_while_the_others_are_looked_through(looks, tmp_path):
    executor, noted = Prompt(), {}
    crew = Crew(lambda: executor, Interrupts(1.0), tmp_path, Run(), lambda event: None)
    crew.work(cohort(looks), lambda outcome: noted.setdefault(outcome.task.case.id, looks[0]))
    assert noted["first"] < 200, "two turns of 50 ms"
    assert noted["last"] == DONE
    assert set(executor.waits[:-1]) <= {0}, "nobody waits for workers before all is looked through"


def test_ctrl_c_ends_the_looking_at_once(looks, tmp_path):
    interrupts = Interrupts(1000.0)

    def interrupted() -> Iterator[CaseTask | None]:
        for number, task in enumerate(cohort(looks)):
            if number == 30:
                interrupts._note(2, None)
            yield task

    with interrupts:
        crew = Crew(Prompt, interrupts, tmp_path, Run(), lambda event: None)
        crew.work(interrupted(), lambda outcome: None)
    assert looks[0] <= 30
