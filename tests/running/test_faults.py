"""What the system refuses, as a person reads it: which file, reading or writing, and what to do."""

import errno
import os
import shutil
import signal
import threading

import pytest
from support.cohorts import write_pair

from gpuprep import run
from gpuprep.cli.app import _exit_code
from gpuprep.cohort.discover import discover
from gpuprep.config.model import Run
from gpuprep.executors.deadline import raised_when_overdue
from gpuprep.io.sandbox import parent as sandbox
from gpuprep.ledger import claim
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.retries import Again, Retries
from gpuprep.running.watch import Storm
from gpuprep.store.files import storage_faults
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import Overdue, ReaderCrash, StoreFault
from gpuprep.values.events import CaseDone, CaseFailed
from gpuprep.values.failure import FailureCode

pytestmark = pytest.mark.usefixtures("reads_here")

SOURCE = Source("/scans/a.nii.gz")
PLAN = CaseTask(Case("a", (SOURCE,)), "/out", "digest")


def reading(number: int) -> CaseFailed:
    """How a failure in the reader child is told."""
    fields = {"kind": "os", "errno": number, "message": os.strerror(number), "path": SOURCE.path}
    return explain(PLAN, sandbox._error(fields, SOURCE))


def writing(number: int) -> CaseFailed:
    try:
        with storage_faults("/out/cases/a.zarr"):
            raise OSError(number, os.strerror(number))
    except Exception as error:
        return explain(PLAN, error)


@pytest.mark.parametrize(
    ("number", "retry"),
    [(errno.EIO, "transient"), (errno.ESTALE, "transient"), (errno.EACCES, "never")],
)
def test_reading_and_writing_are_told_apart(number, retry):
    code, reason = errno.errorcode[number], os.strerror(number)
    source, stored = reading(number), writing(number)
    assert source.message == f"/scans/a.nii.gz: cannot be read: {reason}"
    assert stored.message == f"/out/cases/a.zarr: cannot be written: {reason}"
    assert (source.kind, source.code, source.retry) == ("io", code, retry)
    assert (stored.kind, stored.code, stored.retry) == ("store", code, retry)


@pytest.mark.parametrize("name", ["fsync_path", "read_json"])
def test_an_output_whose_disk_fails_at_the_start_can_be_resumed(
    cohort_folder, tmp_path, monkeypatch, name
):
    run(cohort_folder, tmp_path / "out", limit=1, scheduler="serial")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(claim, name, fail)
    with pytest.raises(StoreFault, match=f"{tmp_path}/out: Input/output error") as caught:
        run(cohort_folder, tmp_path / "out", scheduler="serial")
    assert "the same command again" in caught.value.advice
    assert _exit_code(caught.value) == 3


def test_a_folder_that_the_disk_withholds_makes_no_smaller_cohort(cohort_folder, monkeypatch):
    def fail(path: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StoreFault, match=f"{cohort_folder}: cannot be read: Stale file handle"):
        discover(cohort_folder)


def test_a_storm_is_of_one_code():
    storm = Storm(3)
    codes = [errno.EIO, errno.ESTALE, errno.EIO, errno.EIO]
    failures = [
        CaseFailed(f"case-{n}", failed.kind, failed.code, failed.message)
        for n, failed in enumerate(map(writing, codes))
    ]
    assert [storm.add(failure) for failure in failures] == [""] * 4
    last = CaseFailed("case-9", failures[-1].kind, failures[-1].code, failures[-1].message)
    assert "3 cases in a row failed alike, the last one with EIO" in storm.add(last)


def test_a_file_that_vanishes_during_the_run_fails_its_case_alone(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        write_pair(source, number)

    def take_away(event: object) -> None:
        (source / "volume-2.nii.gz").unlink(missing_ok=True)

    report = run(source, tmp_path / "out", scheduler="serial", listeners=[take_away])
    (failure,) = report.failures
    assert report.finished.done == 2
    assert (failure.case_id, failure.kind, failure.code) == ("volume-2", "input", "E_MISSING")
    assert failure.message == "the input names this file, but there is none"
    assert failure.path == f"{source}/volume-2.nii.gz"


@pytest.mark.parametrize("emptied", [False, True], ids=["removed", "unmounted"])
def test_an_input_that_vanishes_as_a_whole_pauses_the_run(tmp_path, emptied):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        write_pair(source, number)

    def take_away(event: object) -> None:
        if isinstance(event, CaseDone):
            shutil.rmtree(source, ignore_errors=True)
        if emptied:
            source.mkdir(exist_ok=True)

    report = run(source, tmp_path / "out", scheduler="serial", listeners=[take_away])
    assert (report.exit_code, report.finished.done, report.finished.failed) == (3, 1, 0)
    assert f"nothing is left in the input {source}" in report.finished.stopped


def test_a_deadline_interrupts_what_waits():
    with pytest.raises(Overdue, match=r"within 0\.1 s"), raised_when_overdue(PLAN, 0.1):
        threading.Event().wait()


def test_a_deadline_that_was_kept_leaves_nothing_behind():
    before = signal.getsignal(signal.SIGUSR1), threading.active_count()
    with raised_when_overdue(PLAN, 60):
        pass
    assert (signal.getsignal(signal.SIGUSR1), threading.active_count()) == before


def test_a_case_past_its_deadline_gets_one_more_chance_alone(tmp_path):
    retries = Retries(tmp_path, Run(crashes=2))
    failure = explain(PLAN, Overdue("the case was not done within 5 s (run.deadline)"))
    assert retries.after(PLAN, failure) == Again(alone=True)
    assert retries.is_suspect(PLAN)
    assert retries.after(PLAN, failure) is None
    assert retries.verdict(PLAN, failure).code == "DEADLINE"


def test_a_reader_that_died_leaves_no_suspect_to_the_next_run_and_a_worker_does(tmp_path):
    crash = explain(PLAN, ReaderCrash("the reader died"))
    assert Retries(tmp_path, Run(crashes=3)).after(PLAN, crash) == Again()
    assert not Retries(tmp_path, Run(crashes=3)).is_suspect(PLAN)
    died = CaseFailed("a", "crash", FailureCode.WORKER_DIED, "its worker died", retry="crash")
    assert Retries(tmp_path, Run(crashes=3)).after(PLAN, died) == Again(alone=True)
    resumed = Retries(tmp_path, Run(crashes=3))
    assert resumed.is_suspect(PLAN)
    assert resumed.after(PLAN, crash) is None
