"""Processes of jobs: known by pid, start tick and lock; told to end, and killed where they do not."""

import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.runs import wait_until
from support.stand_in_jobs import asked, dispatcher

from gpuprep.host.owners import process_named, this_process
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.runner import Runner, last_lines


@pytest.fixture
def folder(tmp_path) -> JobFolder:
    return JobFolder.make(tmp_path, asked("a"))


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_pid_that_is_anothers_by_now_is_left_alone(folder) -> None:
    with sleeper() as other:
        folder.set_child({**process_named(other.pid), "started": "1"})
        assert not Runner().is_at_work("a", folder)
        Runner().signal(folder, signal.SIGKILL)
        assert other.poll() is None
        folder.set_child(process_named(other.pid))
        assert Runner().is_at_work("a", folder)
        Runner().signal(folder, signal.SIGKILL)
        assert other.wait(60) == -signal.SIGKILL
        assert not Runner().is_at_work("a", folder)


@pytest.mark.parametrize("held", [True, False])
def test_of_another_boot_only_the_lock_tells(folder, held) -> None:
    folder.set_child({**this_process(), "machine": "this host, before it was booted"})
    with (folder.path / "lock").open("ab") as lock:
        if held:
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert Runner().is_at_work("a", folder) == held


def test_a_process_that_was_not_told_to_go_does_nothing(folder) -> None:
    child = [sys.executable, "-m", "gpuprep.service.jobs.child", str(folder.path)]
    done = subprocess.run(child, input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (75, b"")
    assert not (folder.path / "lock").exists()
    assert folder.end() is None


def test_two_processes_never_have_one_job(folder) -> None:
    with (folder.path / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = [sys.executable, "-m", "gpuprep.service.jobs.child", str(folder.path)]
        assert subprocess.run(child, input=b"go", check=False).returncode == 75


def test_a_job_that_does_not_end_is_told_again_and_killed(tmp_path, monkeypatch) -> None:
    service = dispatcher(tmp_path)
    service.recover()
    job = service.submit(asked("a"))
    sent = service._runner.signals
    service.cancel(job)
    assert sent == [(job.id, signal.SIGTERM)]
    began = time.monotonic()
    for later, number in ((29, 0), (31, signal.SIGTERM), (40, 0), (52, signal.SIGKILL)):
        before = len(sent)
        monkeypatch.setattr(time, "monotonic", lambda later=later: began + later)
        service.look()
        assert sent[before:] == ([(job.id, number)] if number else [])


def test_a_cancel_that_was_not_told_is_told_by_the_next_service(tmp_path) -> None:
    service = dispatcher(tmp_path)
    service.recover()
    job = service.submit(asked("a"))
    service.folder_of(job.id).cancel()
    service.stop()
    again = dispatcher(tmp_path)
    again.recover()
    assert again.database.find(job.id).state == "cancelling"
    assert again._runner.signals == [(job.id, signal.SIGTERM)]


def test_devices_of_an_earlier_life_stay_taken(tmp_path) -> None:
    service = dispatcher(tmp_path, devices=(0, 1))
    service.recover()
    first = service.submit(asked("a"))
    service.stop()
    again = dispatcher(tmp_path, devices=(0, 1))
    again.recover()
    second = again.submit(asked("b"))
    told = [again.folder_of(job.id).start()["devices"] for job in (first, second)]
    assert told == [[0], [1]]


def test_last_lines_of_a_long_output(folder) -> None:
    Path(folder.path / "output.txt").write_text("x\n" * 100_000 + "the end\n")
    assert last_lines(folder, 2) == "x\nthe end"
    assert last_lines(JobFolder(folder.path / "none")) == ""


def test_a_process_that_dies_at_once_is_noticed(folder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    runner = Runner()
    runner.start("a", folder, "")
    wait_until(lambda: not runner.is_at_work("a", folder), "the process is gone")
    assert (folder.path / "output.txt").exists()
