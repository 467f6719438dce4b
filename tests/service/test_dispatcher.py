"""The life of jobs under anything that may happen: deaths, ends, cancels, and restarts with a lost list."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from support.stand_in_jobs import asked, die, dispatcher, end

from gpuprep.service.jobs.job import ENDED, RESUMABLE, WORKING

LISTS = ("jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-shm")


class Lives(RuleBasedStateMachine):
    """Jobs of one service through many lives of it. ``ends`` has the jobs that are over, and how."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.begin()
        self.accepted: dict[str, str] = {}
        self.saved = self.folder / "saved"

    def begin(self) -> None:
        self.service = dispatcher(self.folder, restarts=2)
        self.service.recover()

    def teardown(self) -> None:
        self.service.stop()
        shutil.rmtree(self.folder)

    def state(self, job: str) -> str:
        found = self.service.database.find(job)
        assert found is not None, f"job {job} is lost"
        return found.state

    @rule(target=jobs, output=st.sampled_from("abc"), owner=st.sampled_from(["ann", "bob"]))
    def submit(self, output: str, owner: str) -> str:
        job = self.service.submit(asked(output, owner, key=f"{len(self.accepted)} digest"))
        self.accepted[job.id] = owner
        return job.id

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        before = self.state(job)
        told = self.service.cancel(self.service.database.find(job))
        assert (
            told.state == before if before in ENDED else told.state in ("cancelled", "cancelling")
        )

    @rule(job=jobs)
    def resume(self, job: str) -> None:
        if self.state(job) in RESUMABLE:
            told = self.service.resume(self.service.database.find(job))
            assert told.state in ("queued", "starting")

    @rule(job=jobs, state=st.sampled_from(["succeeded", "paused", "failed"]))
    def ends(self, job: str, state: str) -> None:
        if self.state(job) in WORKING:
            folder = self.service.folder_of(job)
            end(folder, "cancelled" if folder.is_cancelled else state)
            self.service.look()
            assert self.state(job) in ("cancelled", state)

    @rule(job=jobs, interrupted=st.booleans())
    def dies(self, job: str, interrupted: bool) -> None:
        if (before := self.state(job)) in WORKING:
            folder = self.service.folder_of(job)
            if interrupted:
                end(folder, "paused", "interrupted", interrupted=True)
            else:
                die(folder)
            self.service.look()
            allowed = ("cancelled",) if before == "cancelling" else ("queued", "starting", "failed")
            assert self.state(job) in allowed

    @rule()
    def look(self) -> None:
        self.service.look()

    @rule()
    def copy_list(self) -> None:
        """As a power cut may bring it back."""
        shutil.rmtree(self.saved, ignore_errors=True)
        self.saved.mkdir()
        self.service.database._writer.execute("pragma wal_checkpoint")
        shutil.copy(self.folder / LISTS[0], self.saved)

    @rule(how=st.sampled_from(["kept", "deleted", "old", "garbage"]), dying=st.booleans())
    def restart(self, how: str, dying: bool) -> None:
        """The service dies, and the list is lost, old or damaged; every job stands as it stood."""
        before = {job: self.state(job) for job in self.accepted}
        self.service.stop()
        if how != "kept":
            for name in LISTS:
                (self.folder / name).unlink(missing_ok=True)
        if how == "old" and self.saved.exists():
            shutil.copy(self.saved / LISTS[0], self.folder)
        if how == "garbage":
            (self.folder / LISTS[0]).write_bytes(b"garbage " * 1000)
        self.begin()
        for job, state in before.items():
            now = self.state(job)
            assert now == state or {now, state} <= {"starting", "running"}, (job, state, now, how)
            owner = self.accepted[job]
            key = list(self.accepted).index(job)
            assert self.service.database.by_key(owner, str(key)) == ("digest", job)

    @invariant()
    def no_cohort_has_two(self) -> None:
        working = self.service.database.working()
        outputs = [job.asked.output for job in working]
        assert len(set(outputs)) == len(outputs)
        assert len(working) <= 2

    @invariant()
    def nothing_waits_without_reason(self) -> None:
        self.service.look()
        if self.service.database.waiting():
            assert self.service.database.working()


Lives.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
