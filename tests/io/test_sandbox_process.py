"""The reading child as a process: signals, environment, memory, its end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gpuprep.io.room import ROOM
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox import process
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.sandbox.process import process_kept
from gpuprep.io.sandbox.shared_voxels import SharedMemory, map_voxels
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError, InternalError, ReaderCrash

pytestmark = pytest.mark.timeout(120)

RULES = ReadRules()


def test_the_child_survives_a_ctrl_c_at_the_terminal(sandbox, volume):
    sandbox.peek(volume)
    child = sandbox.pid
    assert os.getpgid(child) != os.getpgid(0)
    os.kill(child, signal.SIGINT)
    sandbox.peek(volume)
    assert sandbox.pid == child


def test_the_child_sees_a_bare_environment(volume, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with Sandbox() as own:
        own.peek(volume)
        environment = Path(f"/proc/{own.pid}/environ").read_bytes()
        limits = Path(f"/proc/{own.pid}/limits").read_text()
    assert b"hunter2" not in environment
    core = next(line for line in limits.splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]


def _read_in_daemon(path: str, results: multiprocessing.SimpleQueue) -> None:
    with Sandbox() as own:
        results.put(own.read(Source(path)).volumes[0].array.shape)


def test_it_works_inside_a_daemonic_process(volume):
    """Dask's workers are daemonic processes, which multiprocessing forbids to have children."""
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    worker = context.Process(target=_read_in_daemon, args=(volume.path, results), daemon=True)
    worker.start()
    worker.join(60)
    assert results.get() == (64, 64, 64)


def test_importing_it_loads_no_image_library():
    script = "import gpuprep.io.sandbox.parent, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"SimpleITK", "nibabel", "pydicom", "isal", "scipy", "dask"}
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}


def test_a_child_that_cannot_start_says_why(volume, monkeypatch):
    monkeypatch.setattr(
        process, "bare_environment", lambda: {"PATH": os.defpath, "PYTHONHOME": "/nowhere"}
    )
    with (
        Sandbox() as own,
        pytest.raises(InternalError, match=r"before it was ready.*(encodings|PYTHONHOME)"),
    ):
        own.read(volume)


@pytest.mark.parametrize("trick", ["short", "unsealed"])
def test_voxels_that_could_be_cut_later_are_refused(trick):
    """A mapped file that shrinks kills the process that reads it; a hostile child could do that."""
    if trick == "short":
        memory = SharedMemory()
        memory.allocate((10, 10), np.dtype("i2"))
        descriptor = os.dup(memory.take()[0])
        memory.drop()
    else:
        descriptor = os.memfd_create("x")
        os.ftruncate(descriptor, ROOM + 400)
    with pytest.raises(ReaderCrash, match="announced"):
        map_voxels(descriptor, (10, 10, 2), "i2")
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(descriptor)


def test_rules_survive_the_wire(volume):
    rules = ReadRules(max_voxels=1000, policy={"W_FEW_SLICES": "error"}, roots=("/",))
    assert ReadRules.from_json(rules.to_json()) == rules
    with Sandbox(rules) as own, pytest.raises(InputError, match=r"E_LIMIT.*1,000"):
        own.read(volume)


def test_closing_waits_for_the_read_that_runs(sandbox, volume):
    done = []
    reader = threading.Thread(target=lambda: done.append(sandbox.read(volume)))
    reader.start()
    reader.join(30)
    sandbox.close()
    assert len(done) == 1
    assert sandbox.pid is None


def test_other_rules_hold_at_once_and_need_another_child_only_for_its_memory(volume, tmp_path):
    inside, elsewhere = str(Path(volume.path).parent), tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Sandbox(ReadRules(roots=(inside,))) as own:
        own.read(volume)
        pid = own.pid
        own.follow(ReadRules(roots=(str(elsewhere),)))
        for ask in (own.read, own.peek):
            with pytest.raises(InputError, match="E_UNSAFE_PATH"):
                ask(volume)
        own.follow(ReadRules(roots=(str(elsewhere), inside)))
        own.read(volume)
        assert own.pid == pid
        own.follow(ReadRules(roots=(inside,), max_voxels=7))
        with pytest.raises(InputError, match="E_LIMIT"):
            own.read(volume)
        assert own.pid == pid
        own.follow(ReadRules(roots=(inside,), memory_bytes=300_000_000))
        own.read(volume)
        assert own.pid != pid


def test_a_child_is_there_before_it_is_needed(volume):
    with Sandbox(recycle_after=1) as own:
        own.get_ready()
        ready = own.pid
        own.read(volume)
        assert ready is not None
        assert own.pid is None
        own.get_ready()
        assert own.pid not in (None, ready)


def read_once(volume: Source, rules: ReadRules = RULES) -> int:
    """The process that read."""
    with Sandbox(rules) as sandbox:
        assert sandbox.read(volume).format == "nifti1"
        assert sandbox.pid is not None
        return sandbox.pid


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_sound_process_goes_on_until_the_block_ends(volume: Source, tmp_path: Path) -> None:
    with process_kept():
        first = read_once(volume)
        inside = replace(RULES, roots=(str(tmp_path),), policy={"W_FLAT": "fix"})
        assert read_once(volume) == read_once(volume, inside) == first
        assert lives(first)
    assert not lives(first)
    assert not lives(read_once(volume))


def test_other_rules_get_a_process_of_their_own(volume: Source) -> None:
    with process_kept():
        first = read_once(volume)
        second = read_once(volume, ReadRules(memory_bytes=300_000_000))
        assert second != first
        assert not lives(first)
    assert not lives(second)


def test_a_process_that_died_meanwhile_is_replaced(volume: Source) -> None:
    with process_kept():
        first = read_once(volume)
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert read_once(volume) != first


def test_two_at_one_time_have_two_processes(volume: Source) -> None:
    with process_kept(), Sandbox(RULES) as one, Sandbox(RULES) as other:
        one.read(volume)
        other.read(volume)
        assert one.pid != other.pid
