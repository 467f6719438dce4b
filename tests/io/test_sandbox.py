"""The sandbox: the same scans as in this process, and no file, signal or deadline harms the parent."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.runs import wait_until

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox import child as sandbox_child
from gpuprep.io.sandbox import parent, process
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.sandbox.wire import Wire
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, InputError, InternalError, MemoryShortage, ReaderCrash

pytestmark = pytest.mark.timeout(120)


RULES = ReadRules()


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: not alive(pid), f"process {pid} is gone", 20)


HOSTILE = ["nasty_nifti", "nasty_dicom", "ge_tilt_varspacing_ct"]


def test_every_hostile_file_ends_as_in_this_process(scans, sandbox):
    """No crash, no hang: a scan with the same voxels, or the same error word for word."""
    paths = [path for name in HOSTILE for path in sorted((scans / name).rglob("*"))]
    sources = [Source(str(path)) for path in [*paths, scans / "ge_tilt_varspacing_ct"]]
    assert len(sources) > 140
    for source in sources:
        here, there = told(read, source, RULES), told(sandbox.read, source)
        assert type(here) is type(there)
        if not isinstance(here, Scan):
            assert (str(here), here.advice) == (str(there), there.advice)
            continue
        assert there.to_json() == here.to_json()
        for volume, expected in zip(there.volumes, here.volumes, strict=True):
            np.testing.assert_array_equal(volume.array, expected.array)
        assert sandbox.peek(source) == peek(source, RULES)


def told(action: Callable[..., Scan], *arguments: object) -> Scan | CaseError:
    try:
        return action(*arguments)
    except CaseError as error:
        return error


def test_arrays_outlive_the_sandbox_and_are_private(volume):
    with Sandbox() as short_lived:
        first, second = short_lived.read(volume), short_lived.read(volume)
        first.volumes[0].array[:] = 7
    expected = read(volume, RULES).volumes[0].array
    assert (first.volumes[0].array == 7).all()
    np.testing.assert_array_equal(second.volumes[0].array, expected)


def test_the_child_loads_no_library_for_dicom_before_a_dicom_file_comes():
    line = "import sys, gpuprep.io.sandbox.child as child, gpuprep.io.dicom.header as header"
    told = "print('pydicom' in sys.modules)"
    for asked, loaded in ((line.partition(" as child")[0], "False"), (line, "True")):
        done = subprocess.run(
            [sys.executable, "-c", f"{asked}; {told}"], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == loaded


def test_the_child_starts_late_and_stays(volume):
    with Sandbox() as own:
        assert own.pid is None
        own.read(volume)
        child = own.pid
        own.read(volume)
        assert own.pid == child
    assert own.pid is None
    wait_until_gone(child)


def test_the_child_is_replaced_after_enough_reads(volume):
    with Sandbox(recycle_after=2) as own:
        pids = set()
        for _ in range(4):
            own.read(volume)
            pids.add(own.pid)
        assert len(pids - {None}) == 2


def test_headers_cost_a_new_child_only_where_the_old_one_has_grown(volume, monkeypatch):
    with Sandbox(recycle_after=2) as own:
        own.peek(volume)
        first = own.pid
        for _ in range(5):
            own.peek(volume)
        assert own.pid == first
        monkeypatch.setattr(process, "_GROWN", -1)
        own.peek(volume)
        assert own.pid == first
        own.peek_all([volume] * 5)
        assert own.pid is None


def test_headers_asked_for_together_tell_what_each_alone_does(volume, tmp_path, sandbox):
    (tmp_path / "bad.nii").write_bytes(b"junk")
    bad, gone = Source(str(tmp_path / "bad.nii")), Source(str(tmp_path / "gone.nii"))
    good, *wrong = sandbox.peek_all([volume, bad, gone])
    assert good == peek(volume, RULES)
    assert [error.code for error in wrong] == ["E_UNREADABLE", "E_MISSING"]
    assert [error.path for error in wrong] == [bad.path, gone.path]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_dying_child_is_an_error_of_its_file_alone(sandbox, volume, number, monkeypatch):
    sandbox.peek(volume)
    child, asked, receive = sandbox.pid, threading.Event(), Wire.receive

    def receive_later(*arguments: object) -> object:
        asked.set()
        return receive(*arguments)

    monkeypatch.setattr(Wire, "receive", receive_later)
    os.kill(child, signal.SIGSTOP)  # so that it surely dies while it has the request
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(sandbox.read, volume)
        assert asked.wait(30)
        os.kill(child, number)
        os.kill(child, signal.SIGCONT)
        with pytest.raises(ReaderCrash, match=number.name) as error:
            reading.result(30)
    assert error.value.path == volume.path
    assert error.value.retry == "crash"
    assert sandbox.read(volume).volumes[0].array.shape == (64, 64, 64)
    wait_until_gone(child)


def test_a_child_that_dies_idle_is_nobody_s_fault(sandbox, volume):
    sandbox.peek(volume)
    child = sandbox.pid
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # all its threads are gone, not yet reaped
    assert sandbox.peek(volume) == peek(volume, RULES)
    assert sandbox.pid != child


def test_a_hanging_child_is_stopped_at_the_deadline(volume):
    with Sandbox(ReadRules(timeout_seconds=2)) as own:
        own.peek(volume)
        child = own.pid
        os.kill(child, signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(ReaderCrash, match=r"exceeded 2 s"):
            own.read(volume)
        assert 2 <= time.monotonic() - start < 8
        wait_until_gone(child)
        assert own.read(volume).format == "nifti1"


def test_an_interrupt_leaves_no_answer_for_the_next_question(volume, monkeypatch):
    with Sandbox() as own:
        own.peek(volume)

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Wire, "receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                own.read(volume)
        assert own.peek(volume) == peek(volume, RULES)


def test_the_memory_of_the_child_is_capped(tmp_path):
    path = tmp_path / "large.nii"
    with path.open("wb") as file:
        header = nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)).header
        header.set_data_shape((600, 600, 600))
        header["vox_offset"] = 352
        file.write(header.binaryblock[:344] + b"n+1\0" + bytes(4))
        file.truncate(352 + 2 * 600**3)  # sparse
    with Sandbox(ReadRules(memory_bytes=200_000_000)) as own:
        with pytest.raises(MemoryShortage, match=r"432,000,000.*200,000,000"):
            own.read(Source(str(path)))
        child = own.pid
        assert own.peek(Source(str(path))).decoded_bytes == 2 * 600**3
        assert own.pid == child


def test_errors_of_the_file_system_stay_what_they_are(volume):
    described = sandbox_child._described(OSError(5, "Input/output error", "x"), volume, 0)
    error = parent._error(described, volume)
    assert isinstance(error, OSError)
    assert (error.errno, error.filename) == (5, "x")
    described = sandbox_child._described(ZeroDivisionError("oops"), volume, 0)
    assert isinstance(parent._error(described, volume), InternalError)


def test_a_missing_file_is_an_input_error(sandbox, tmp_path):
    with pytest.raises(InputError, match=r"E_MISSING.*there is none"):
        sandbox.read(Source(str(tmp_path / "gone.nii")))


def test_threads_take_turns(sandbox, volume):
    expected = read(volume, RULES).volumes[0].array
    with ThreadPoolExecutor(4) as pool:
        for scan in pool.map(sandbox.read, [volume] * 12):
            np.testing.assert_array_equal(scan.volumes[0].array, expected)


def test_nothing_leaks(sandbox, volume, tmp_path):
    (tmp_path / "bad.nii").write_bytes(b"junk")
    sandbox.read(volume)

    def descriptors(pid: int | str) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    gc.collect()
    before = descriptors("self"), descriptors(sandbox.pid)
    for _ in range(20):
        sandbox.read(volume)
        with pytest.raises(InputError):
            sandbox.read(Source(str(tmp_path / "bad.nii")))
    gc.collect()
    assert (descriptors("self"), descriptors(sandbox.pid)) == before
    assert not list(Path("/dev/shm").glob("*gpuprep*"))


PARENT = """
import signal, sys
from gpuprep.values.case import Source
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.sandbox.wire import Wire
from gpuprep.io.scan import Scan
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
own = Sandbox()
own.peek(Source(sys.argv[1]))
print(own.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_child_goes_when_its_parent_is_gone(volume, number):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, volume.path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with parent:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(number)
        parent.wait(20)
    wait_until_gone(child)
