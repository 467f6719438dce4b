"""Time, memory and file size of the reading process, and readers that hang or die under a stub."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom.uid import RLELossless
from support.dicom_series import dataset

from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError, ReaderCrash

pytestmark = pytest.mark.timeout(120)

STUB = """
import os, signal, SimpleITK
execute = SimpleITK.ImageFileReader.Execute

def stubbed(reader):
    name = os.path.basename(reader.GetFileName())
    while name == "hangs.dcm":
        pass
    if name == "dies.dcm":
        os.kill(os.getpid(), signal.SIGSEGV)
    return execute(reader)

SimpleITK.ImageFileReader.Execute = stubbed
"""


@pytest.fixture
def stubbed(tmp_path, monkeypatch) -> Path:
    """A folder of slices; ITK hangs on ``hangs.dcm`` and dies on ``dies.dcm`` in a new reader."""
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub/sitecustomize.py").write_text(STUB)
    paths = [str(tmp_path / "stub"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    for name in ("good", "hangs", "dies"):
        one = dataset(Rows=32, Columns=32, PixelData=bytes(2048))
        one.compress(RLELossless)  # plain pixels need no ITK
        one.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    return tmp_path


def test_a_reader_that_hangs_or_dies_costs_its_own_file_only(stubbed):
    source = {name: Source(str(stubbed / f"{name}.dcm")) for name in ("good", "hangs", "dies")}
    with Sandbox(ReadRules(timeout_seconds=3)) as sandbox:
        for name, words in (("hangs", "exceeded 3 s"), ("dies", "SIGSEGV")):
            assert sandbox.read(source["good"]).format == "dicom"
            with pytest.raises(ReaderCrash, match=words) as error:
                sandbox.read(source[name])
            assert error.value.path == source[name].path
            assert sandbox.read(source["good"]).format == "dicom"


@pytest.mark.parametrize("name", ["pipe.nii", "pipe.nii.gz", "pipe.dcm", "pipe.mha"])
def test_a_pipe_is_refused_and_never_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with Sandbox(ReadRules(timeout_seconds=20)) as sandbox:
        start = time.monotonic()
        with pytest.raises(InputError, match="not a regular file"):
            sandbox.read(Source(str(tmp_path / name)))
        assert time.monotonic() - start < 15


def test_the_kernel_ends_a_reader_whose_parent_cannot(tmp_path):
    script = (
        "from gpuprep.io.sandbox.child import limit_seconds; from gpuprep.io.rules import ReadRules\n"
        "limit_seconds(ReadRules(timeout_seconds=0.1))\nwhile True: pass"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=100)
    assert done.returncode == -signal.SIGXCPU


def test_each_request_has_its_own_time(tmp_path):
    """The limit counts from the beginning of the process, and so must move on."""
    dataset().save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with Sandbox(ReadRules(timeout_seconds=50)) as sandbox:
        sandbox.read(Source(str(tmp_path / "x.dcm")))
        seconds = _limit(sandbox.pid, "Max cpu time")
    assert 50 < seconds < 100


def test_no_file_that_a_reader_writes_is_larger_than_its_voxels(tmp_path):
    dataset().save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with Sandbox(ReadRules(max_bytes=1_000_000)) as sandbox:
        sandbox.read(Source(str(tmp_path / "x.dcm")))
        assert _limit(sandbox.pid, "Max file size") == 4_000_000


def _limit(pid: int | None, name: str) -> int:
    """The soft limit of a process."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line[len(name) :].split()[0])


def test_what_a_message_quotes_of_a_header_is_cut(tmp_path):
    lines = ("ObjectType = Image", "NDims = 3", "DimSize = 1 1 1", f"ElementType = {'A' * 500_000}")
    path = tmp_path / "v.mha"
    path.write_text("\n".join((*lines, "ElementDataFile = LOCAL", "")))
    with Sandbox() as sandbox, pytest.raises(InputError, match="AAAA") as told:
        sandbox.read(Source(str(path)))
    assert len(str(told.value)) < 5000
