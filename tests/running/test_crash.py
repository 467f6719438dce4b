"""Killed and interrupted runs: what is left is whole, and the next run finishes it byte for byte."""

import os
import random
import signal
from pathlib import Path

import pytest
from support.cohorts import contents, write_pair
from support.runs import end, finish, go_on, session_members, start, wait_for_stop, wait_for_stops

from gpuprep.store.verify import verify_cohort

CASES = 14
STEPS = ("before_read", "after_stage", "mid_shard", "after_shards", "after_record", "after_rename")


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for number in range(CASES):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def undisturbed(many, tmp_path_factory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    assert finish(many, output).returncode == 0
    return contents(output)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_sigkill_at_a_random_moment_then_resume(many, undisturbed, tmp_path, seed):
    moment = random.Random(seed)
    output = tmp_path / "out"
    done, step = moment.randrange(1, CASES), moment.choice(STEPS)
    armed = f"before_manifest=stop:{done},{step}=stop:{done + 1}"
    process = start(many, output, "local", armed)
    (worker,) = wait_for_stops(process, 2) - {process.pid}
    os.kill(process.pid, signal.SIGKILL)
    go_on(worker)
    end(process)
    assert not verify_cohort(output, full=True)
    survivors = {path: path.stat().st_mtime_ns for path in output.glob("cases/*/record.json")}
    assert survivors
    resumed = finish(many, output)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert contents(output) == undisturbed
    assert not list((output / ".staging").glob("*"))
    assert survivors == {path: path.stat().st_mtime_ns for path in survivors}, "a case was redone"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheduler", "number"),
    [("local", signal.SIGINT), ("local", signal.SIGTERM), ("serial", signal.SIGTERM)],
)
def test_interrupt_drains_and_leaves_nothing_behind(many, undisturbed, tmp_path, scheduler, number):
    """Everybody gets it, as from a terminal, systemd or SLURM: coordinator, workers and readers."""
    output = tmp_path / "out"
    process = start(many, output, scheduler, "before_manifest=stop:2")
    wait_for_stop(process)
    members = session_members(process.pid)
    assert len(members) > (3 if scheduler == "local" else 1)
    for pid in members:
        os.kill(pid, number)
    go_on(process.pid)
    printed = end(process)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    assert "not yet done" in printed
    assert not (output / "attempts.jsonl").exists(), "a process has died of it"
    assert not (output / "failures.jsonl").exists()
    assert not list((output / ".staging").glob("*"))
    resumed = finish(many, output)
    assert resumed.returncode == 0, resumed.stdout
    assert contents(output) == undisturbed


@pytest.mark.slow
def test_a_second_run_on_the_same_output_is_refused(many, tmp_path):
    output = tmp_path / "out"
    process = start(many, output, "serial", "after_rename=stop:1")
    first = wait_for_stop(process)
    second = finish(many, output)
    assert second.returncode == 2
    assert "another run" in second.stderr
    go_on(first)
    printed = end(process)
    assert process.returncode == 0, printed


@pytest.mark.slow
def test_killed_reader_child_costs_no_case(many, undisturbed, tmp_path):
    output = tmp_path / "out"
    process = start(many, output, "serial", "after_rename=stop:3")
    run = wait_for_stop(process)
    (reader,) = (
        child
        for child in session_members(process.pid)
        if b"gpuprep.io.sandbox.child" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    os.kill(reader, signal.SIGKILL)
    go_on(run)
    printed = end(process)
    assert process.returncode == 0, printed
    assert contents(output) == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("step", ["mid_shard", "after_rename"])
def test_a_killed_worker_costs_no_case(many, undisturbed, tmp_path, step):
    output = tmp_path / "out"
    process = start(many, output, "local", f"{step}=kill:5")
    printed = end(process)
    assert process.returncode == 0, printed
    assert contents(output) == undisturbed
    assert not list((output / ".staging").glob("*"))
