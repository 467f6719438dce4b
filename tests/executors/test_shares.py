"""Memory by the byte: cases take what they need of their host's, never more together than there is."""

import fcntl
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cohorts import contents, write_pair
from support.runs import wait_until

from gpuprep import run
from gpuprep.config.file import parse_config
from gpuprep.config.model import Run
from gpuprep.executors import shares, task
from gpuprep.executors.base import Outcome
from gpuprep.executors.shares import Shares
from gpuprep.host.signals import Interrupts
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.projection import Footprint, project_case, shares_for
from gpuprep.preprocess.task import CaseTask
from gpuprep.running import workforce
from gpuprep.running.backlog import Backlog
from gpuprep.running.crew import Crew
from gpuprep.store.reader import open_cohort
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import MemoryShortage
from gpuprep.values.events import CaseDone

SHARE = 8 << 20
sizes = st.integers(0, 1 << 40)


@given(sizes, st.integers(1, 1 << 36), st.integers(1, 64))
def test_shares_hold_what_is_needed_and_are_no_more_than_that(needed, share, most):
    number = shares_for(needed, share, most)
    assert 1 <= number <= most
    assert number * share >= needed or number == most
    assert number == 1 or (number - 1) * share < needed


@given(sizes, sizes, sizes)
def test_nothing_goes_to_disk_where_a_footprint_has_room(sources, results, working):
    needed = Footprint(sources, results, working)
    left = needed.left_for_results(needed.roomy)
    assert left is None or left >= results
    assert needed.roomy >= needed.peak


class Ledger:
    """What is taken at present, and the most that ever was."""

    def __init__(self) -> None:
        self.taken = self.most = 0
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.taken += number
            self.most = max(self.most, self.taken)


def wishes(number: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, number), min_size=1, max_size=12)


@settings(max_examples=15)
@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), wishes(n))))
def test_never_more_than_all_shares_are_taken(tmp_path_factory, drawn):
    number, wanted = drawn
    folder, ledger = tmp_path_factory.mktemp("shares"), Ledger()

    def work(wish: int) -> None:
        with Shares(folder, number).taken(wish):
            ledger.add(wish)
            list(folder.iterdir())  # others have their turn meanwhile
            ledger.add(-wish)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, wanted, timeout=60))
    assert max(wanted) <= ledger.most <= number


def test_shares_of_a_killed_process_come_back(tmp_path):
    code = """
import sys
from gpuprep.executors.shares import Shares
with Shares(sys.argv[1], 3).taken(2):
    print("taken", flush=True)
    sys.stdin.read()
"""
    line = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"taken\n"
        got = threading.Event()

        def take_all() -> None:
            with Shares(tmp_path, 3).taken(3):
                got.set()

        waiting = threading.Thread(target=take_all)
        waiting.start()
        wait_until(lambda: is_locked(tmp_path / "turn"), "the next has its turn and waits")
        assert not got.is_set()
        holder.send_signal(signal.SIGKILL)
        waiting.join(30)
    assert got.is_set()


def is_locked(file: Path) -> bool:
    with file.open("ab") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_more_shares_than_there_are_is_a_fault(tmp_path):
    with pytest.raises(ValueError, match="4 of 3"), Shares(tmp_path, 3).taken(4):
        pass


@pytest.fixture
def plans(tmp_path, monkeypatch):
    """Eleven small cases and a large one among them, on a host for three small ones at a time."""
    import nibabel

    monkeypatch.setattr(shares, "_shared", {"folder": ""})
    (tmp_path / "in").mkdir()
    config = parse_config({})
    claim(tmp_path / "out", config, overwrite=False)
    write_pair(tmp_path, 0)
    large = nibabel.Nifti1Image(np.zeros((160, 160, 80), np.int16), np.eye(4))
    nibabel.save(large, tmp_path / "large.nii.gz")
    cases = [Case(f"small-{n}", (Source(str(tmp_path / "volume-0.nii.gz")),)) for n in range(11)]
    cases.insert(4, Case("large", (Source(str(tmp_path / "large.nii.gz")),)))
    made = CaseTask(cases[0], str(tmp_path / "out"), config.digest)
    with_shares = replace(made, shares=3, memory=SHARE)
    return [replace(with_shares, case=case) for case in cases]


def test_a_large_case_takes_the_memory_of_several_and_small_ones_one_each(
    plans, tmp_path, monkeypatch
):
    """Real cases: what each is allowed is noted on its way into the pipeline, and out of it."""
    ledger, allowed, run_case = Ledger(), {}, task.run_case

    def noted(plan, config, reader, *others):
        needed = project_case(plan.case, config, reader.__self__.peek).roomy_bytes
        allowed[plan.case.id] = (plan.memory, plan.threads, needed)
        assert reader.__self__.rules.in_memory_bytes == plan.memory // 2
        ledger.add(plan.memory)
        if plan.case.id == "large":
            wait_until(lambda: is_locked(tmp_path / "shares/turn"), "another case waits", 20)
        try:
            return run_case(plan, config, reader, *others)
        finally:
            ledger.add(-plan.memory)

    monkeypatch.setattr(task, "run_case", noted)
    monkeypatch.setattr(task, "_slot", threading.local())
    (tmp_path / "shares").mkdir()
    shares.divide_memory_in(str(tmp_path / "shares"))
    with ThreadPoolExecutor(3) as slots:
        outcomes = list(slots.map(task.perform_in_slot, [plan.to_json() for plan in plans]))
        for _ in range(3):
            slots.submit(close_workplace)
    assert [outcome.task for outcome in outcomes] == plans
    assert [outcome.failed for outcome in outcomes if not outcome.done] == []
    share, most = SHARE, 3 * SHARE
    assert ledger.most <= most
    assert set(open_cohort(tmp_path / "out")) == {plan.case.id for plan in plans}
    memory, threads, needed = allowed.pop("large")
    assert share < needed
    assert memory == min(most, -(-needed // share) * share) > share
    assert threads == memory // share
    assert {row[:2] for row in allowed.values()} == {(share, 1)}


def close_workplace() -> None:
    if workplace := getattr(task._slot, "workplace", None):
        workplace.close()


def test_a_run_with_a_large_case_gives_the_bytes_of_one_with_all_memory(
    plans, tmp_path, monkeypatch
):
    for number in range(5):
        write_pair(tmp_path / "in", number)
    (tmp_path / "large.nii.gz").rename(tmp_path / "in" / "volume-5.nii.gz")
    run(tmp_path / "in", tmp_path / "plenty", scheduler="serial", backend="numpy")
    monkeypatch.setattr(workforce, "available_memory", lambda: 2 * (16 << 20))
    report = run(tmp_path / "in", tmp_path / "scarce", workers=2, backend="numpy")
    assert not report.failures
    assert contents(tmp_path / "scarce") == contents(tmp_path / "plenty")


class ShortOfMemory:
    """An executor on which one case runs out of memory unless it has all of it."""

    takes_batches = False
    window, lost, waiting = 2, "", ""

    def __init__(self) -> None:
        self.queued: list[CaseTask] = []
        self.beside: list[tuple[CaseTask, int]] = []

    @property
    def inflight(self) -> int:
        return len(self.queued)

    def submit(self, plan: CaseTask) -> None:
        self.beside.append((plan, len(self.queued)))
        self.queued.append(plan)

    def wait(self, seconds: float) -> list[Outcome]:
        plan = self.queued.pop(0)
        if plan.case.id == "large" and plan.memory < 3 * SHARE:
            failure = task.explain(plan, MemoryShortage("large needs 0.01 GiB"))
            return [Outcome(plan, failed=failure)]
        return [Outcome(plan, done=CaseDone(plan.case.id))]

    def state(self) -> dict[str, object]:
        return {}

    def close(self) -> None:
        self.queued.clear()


def test_a_case_short_of_memory_is_tried_again_alone_with_all_of_it_and_one_thread(plans, tmp_path):
    executor, outcomes = ShortOfMemory(), []
    crew = Crew(lambda: executor, Interrupts(1.0), tmp_path, Run(), lambda event: None)
    crew.work([replace(plan, threads=4) for plan in plans], outcomes.append)
    crew.finish()
    assert len(outcomes) == len(plans)
    assert all(outcome.done for outcome in outcomes)
    (first, _), (again, beside) = [row for row in executor.beside if row[0].case.id == "large"]
    assert (first.memory, first.threads, first.shares) == (SHARE, 4, 3)
    assert (again.memory, again.threads, again.shares) == (3 * SHARE, 1, 1)
    assert beside == 0
    assert executor.beside[-1][0] is again, "the others go first"


def test_a_suspect_runs_alone(plans):
    backlog = Backlog(iter(plans[:2]), lambda plan: plan is plans[0])
    backlog.scan(10, 60.0, lambda: False)

    def draw(inflight: int) -> list[CaseTask]:
        return backlog.draw(inflight, lambda together, task: True)

    assert draw(0) == [plans[1]]
    assert not draw(1)
    assert draw(0) == [plans[0]]
    assert not draw(1)
    assert backlog.is_empty
