"""Cases that take processes down with them, hang, or wait for a disk that fails: only they pay."""

import json
import signal
from pathlib import Path

import pytest
from support.cohorts import contents
from support.runs import end, finish, go_on, session_members, start, wait_for_stop, wait_until

pytestmark = pytest.mark.slow

QUICK = ("--set", "run.backoff=0.05")


def failures(output: Path) -> dict[str, str]:
    lines = (output / "failures.jsonl").read_text().splitlines()
    return {row["case"]: row["code"] for row in map(json.loads, lines)}


def test_one_poisonous_case_among_many_is_found_alone(some, clean, tmp_path):
    output = tmp_path / "out"
    process = start(some, output, "local", "after_record@volume-3=kill")
    printed = end(process)
    assert process.returncode == 1, printed
    assert "Traceback" not in printed
    assert failures(output) == {"volume-3": "POISON"}
    innocent = {path: text for path, text in clean.items() if "volume-3" not in path}
    assert contents(output) == innocent
    assert finish(some, output).returncode == 0
    assert contents(output) == clean


@pytest.mark.parametrize(("scheduler", "seconds"), [("local", 10), ("serial", 5)])
def test_a_case_past_its_deadline_is_named(some, clean, tmp_path, scheduler, seconds):
    output = tmp_path / "out"
    hanging = ("--set", f"run.deadline={seconds}")
    process = start(some, output, scheduler, "after_shards@volume-5=sleep-600", *hanging)
    printed = end(process)
    assert process.returncode == 1, printed
    assert failures(output) == {"volume-5": "DEADLINE"}
    assert "run.deadline" in printed
    assert finish(some, output).returncode == 0
    assert contents(output) == clean


def test_a_disk_that_fails_for_a_while_costs_nothing(some, clean, tmp_path):
    output = tmp_path / "out"
    armed = "before_read@volume-2=raise-EIO:1,mid_shard@volume-4=raise-EIO:1"
    process = start(some, output, "serial", armed, *QUICK)
    printed = end(process)
    assert process.returncode == 0, printed
    assert contents(output) == clean
    assert not (output / "attempts.jsonl").exists()


def test_attempts_are_counted_on_after_a_crash(some, tmp_path):
    output = tmp_path / "out"
    armed = "before_read@volume-2=raise-EIO,before_manifest=kill:5"
    process = start(some, output, "serial", armed, *QUICK, "--set", "run.backoff=0.01")
    end(process)
    assert process.returncode == -signal.SIGKILL
    before = (output / "attempts.jsonl").read_text().splitlines()
    assert 1 <= len(before) < 5
    again = start(some, output, "serial", "before_read@volume-2=raise-EIO", *QUICK)
    printed = end(again)
    assert again.returncode == 1, printed
    assert failures(output) == {"volume-2": "EIO"}
    assert "(5 attempts)" in printed


def test_a_worker_that_falls_silent_is_given_up_and_loses(some, clean, tmp_path):
    output = tmp_path / "out"
    armed = "after_record@volume-1=stop:1"
    patient = ("--set", "run.crashes=5")  # a busy machine may be silent, too
    process = start(some, output, "local", armed, "--set", "run.silence=4", *patient)
    frozen = wait_for_stop(process)
    done = output / "cases/volume-1.zarr/record.json"
    wait_until(
        lambda: done.exists() or process.poll() is not None, "another worker does the case", 240
    )
    if frozen in session_members(process.pid):
        go_on(frozen)
    printed = end(process)
    assert process.returncode == 0, printed
    assert contents(output) == clean
    assert not list((output / ".staging").glob("*"))


def test_a_stuck_cluster_is_replaced(some, clean, tmp_path):
    output = tmp_path / "out"
    armed = "after_record@volume-1=stop:1"
    process = start(some, output, "local", armed, "--set", "run.stuck=8")
    printed = end(process)
    assert process.returncode == 0, printed
    assert "all workers are replaced" in printed
    assert "Traceback" not in printed
    dumps = [json.loads(path.read_text()) for path in (output / ".logs").glob("lost-*.json")]
    assert any("volume-1" in dump["inflight"] for dump in dumps)
    assert contents(output) == clean
