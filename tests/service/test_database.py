"""The list of jobs where it is lost, damaged or behind: it says again what the folders say."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.stand_in_jobs import asked, die, dispatcher, end

from gpuprep.service.jobs.database import DATABASE_FILE, Database
from gpuprep.service.jobs.dispatcher import Dispatcher
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Job


@pytest.fixture
def service(tmp_path) -> Dispatcher:
    made = dispatcher(tmp_path, jobs=1)
    made.recover()
    return made


def in_each_state(service: Dispatcher) -> dict[str, Job]:
    """Jobs in many states, by their names."""
    for state in ("succeeded", "failed", "paused", "succeeded_with_failures"):
        job = service.submit(asked(state))
        end(service.folder_of(job.id), state, f"a reason to have {state}")
        service.look()
    names = ("running", "queued", "cancelled", "urgent")
    jobs = {name: service.submit(asked(name, key=f"{name} hash")) for name in names}
    service.cancel(jobs["cancelled"])
    service.set_priority(jobs["urgent"], 9)
    service.look()
    return {job.asked.output: job for job in service.database.page(before=1 << 60, limit=100)}


def test_a_page_is_of_the_states_and_the_owner_that_are_asked_for(service) -> None:
    found = in_each_state(service)
    owner = found["paused"].owner

    def names(**wanted) -> list[str]:
        page = service.database.page(before=1 << 60, limit=100, **wanted)
        return [job.asked.output for job in page]

    assert names(states=["failed", "paused"], owner=owner) == ["paused", "failed"]
    assert names(states=["failed"], output="paused") == []
    assert names(states=["failed"], owner="nobody") == []
    assert sorted(names()) == sorted(found)


def damage(path: Path) -> None:
    """Garbage in the middle, the head untouched."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for place in range(4096, size - 64, 1024):
            file.seek(place)
            file.write(b"\xa5" * 64)


@pytest.mark.parametrize("how", ["kept", "gone", "garbage", "middle", "empty", "journal", "short"])
def test_each_job_stands_as_it_stood(service, tmp_path, how) -> None:
    early = tmp_path / "early"
    shutil.copy(tmp_path / DATABASE_FILE, early)
    before = in_each_state(service)
    assert {job.state for job in before.values()} >= {"running", "queued", "cancelled", "paused"}
    file = tmp_path / DATABASE_FILE
    if how == "journal":  # a power cut that took what was not yet in the list itself
        service.stop()
        shutil.copy(early, file)
    else:
        service.database._writer.execute("pragma wal_checkpoint(truncate)")
        service.stop()
    if how == "gone":
        file.unlink()
    elif how == "garbage":
        file.write_bytes(b"no list at all" * 999)
    elif how == "middle":
        damage(file)
    elif how == "empty":
        file.write_bytes(b"")
    elif how == "short":
        file.write_bytes(file.read_bytes()[:5000])
    again = dispatcher(tmp_path, jobs=1)
    again.recover()
    after = {job.asked.output: job for job in again.database.page(before=1 << 60, limit=100)}
    assert after == before
    assert again.database.by_key("ann", "queued") == ("hash", before["queued"].id)
    assert again.submit(asked("new")).seq == len(before) + 1
    if how in ("garbage", "middle", "short"):
        assert again.database.rebuilt == "it was damaged"
        assert Path(f"{file}.damaged").exists()


def test_a_list_that_is_damaged_while_it_is_in_use_is_made_anew(service, tmp_path) -> None:
    before = in_each_state(service)
    service.database._writer.execute("pragma wal_checkpoint(truncate)")
    damage(tmp_path / DATABASE_FILE)
    for connection in (service.database._reader, service.database._writer):
        connection.execute("pragma cache_size = 0")
        connection.execute("pragma shrink_memory")
    new = service.submit(asked("new"))
    service.look()
    after = {job.asked.output: job for job in service.database.page(before=1 << 60, limit=100)}
    assert after.pop("new").id == new.id
    assert after == before
    assert service.database.rebuilt


def test_a_list_that_goes_while_it_is_in_use_costs_nothing(service, tmp_path) -> None:
    in_each_state(service)
    for file in tmp_path.glob(f"{DATABASE_FILE}*"):
        file.unlink()
    service.submit(asked("new"))
    before = {job.id: job for job in service.database.page(before=1 << 60, limit=100)}
    service.stop()
    again = dispatcher(tmp_path, jobs=1)
    again.recover()
    assert {job.id: job for job in again.database.page(before=1 << 60, limit=100)} == before


def test_a_damaged_folder_is_told_and_mended_from_the_list(service, tmp_path, caplog) -> None:
    job = service.submit(asked("a"))
    service.stop()
    file = tmp_path / "jobs" / job.id / "job.json"
    file.write_bytes(file.read_bytes()[:50])
    with caplog.at_level(logging.WARNING):
        database = Database(tmp_path)
    assert job.id in caplog.text
    assert not database.damaged
    assert json.loads(file.read_bytes())["id"] == job.id
    database.close()
    for name in tmp_path.glob("jobs.sqlite*"):
        name.unlink()
    file.write_bytes(b"{}")
    with caplog.at_level(logging.ERROR):
        database = Database(tmp_path)
    assert database.damaged == (job.id,)
    assert f"job {job.id} is lost" in caplog.text


def test_what_was_never_accepted_is_cleared_away(tmp_path) -> None:
    (tmp_path / "jobs" / ("0" * 20)).mkdir(parents=True)
    (tmp_path / "jobs" / ("0" * 20) / "room").write_bytes(b" " * 4096)
    database = Database(tmp_path)
    assert not database.page(before=9, limit=9)
    assert not database.damaged
    assert not list((tmp_path / "jobs").iterdir())


def test_two_folders_of_one_place_are_both_kept(service, tmp_path) -> None:
    job = service.submit(asked("a"))
    JobFolder.make(tmp_path / "jobs", replace(asked("b"), seq=job.seq))
    service.stop()
    found = Database(tmp_path).page(before=99, limit=9)
    assert sorted(other.asked.output for other in found) == ["a", "b"]


def test_a_folder_that_is_taken_away_ends_its_job(service) -> None:
    running, waiting = service.submit(asked("a")), service.submit(asked("b"))
    shutil.rmtree(service.folder_of(waiting.id).path)
    die(service.folder_of(running.id))
    shutil.rmtree(service.folder_of(running.id).path)
    service.look()
    service.look()
    told = [service.database.find(job.id) for job in (running, waiting)]
    assert [(job.state, job.reason) for job in told] == [("failed", "its folder is gone")] * 2


def test_clocks_that_jump_change_no_order(service, monkeypatch) -> None:
    import time

    jobs = []
    for now in (2e9, 1e9, 3e9, 0.0):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        jobs.append(service.submit(asked(f"at {now:.0f}".replace(" ", "-"))))
    assert len({job.id for job in jobs}) == 4
    page = service.database.page(before=1 << 60, limit=9)
    assert [job.id for job in reversed(page)] == [job.id for job in jobs]
    assert [service.place(job) for job in jobs[1:]] == [1, 2, 3]
    service.stop()
    for name in service.folder_of("").path.parent.glob("jobs.sqlite*"):
        name.unlink()
    again = dispatcher(service.folder_of("").path.parent, jobs=1)
    assert [job.id for job in again.database.page(before=1 << 60, limit=9)] == [j.id for j in page]
