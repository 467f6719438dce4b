"""Files asked of the disk ahead of their case: the kernel has them before anybody reads them."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import numpy as np
import pytest

from gpuprep.case import Case, LabelSource, Source
from gpuprep.executors.read_ahead import ReadAhead, advise

SIZE = 8 << 20


@pytest.fixture
def cold_file(tmp_path):
    """A file of which the page cache holds nothing."""
    file = tmp_path / "volume.nii"
    file.write_bytes(np.random.default_rng(0).bytes(SIZE))
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    if pages_in_memory(file) > 0.1:
        pytest.skip("this file system keeps its files in memory")
    return file


def pages_in_memory(file: Path) -> float:
    """The share of a file's pages in the page cache, by mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, flags=mmap.MAP_PRIVATE) as view:
        start = np.frombuffer(view, np.uint8)
        present = np.zeros(-(-SIZE // mmap.PAGESIZE), np.uint8)
        assert libc.mincore(start.ctypes.data, SIZE, present.ctypes.data) == 0
        del start
    return float((present & 1).mean())


def test_a_case_that_waits_is_read_into_memory(cold_file):
    label = LabelSource((Source(str(cold_file.with_name("absent.nii"))),))
    ahead = ReadAhead()
    ahead(Case("gone", (Source("/no/such/file"),)))
    ahead(Case("a", (Source(str(cold_file)),), (label,)))
    deadline = time.monotonic() + 20
    while pages_in_memory(cold_file) < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    ahead.close()
    assert pages_in_memory(cold_file) == 1


def test_a_pipe_does_not_hold_it_up(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="seek"):
        advise(str(tmp_path / "pipe"))


def test_every_slice_of_a_series_is_named_once_and_labels_follow():
    series = Source("/in/series", ("/in/series/1.dcm", "/in/series/2.dcm"))
    case = Case("a", (series, Source("/in/pet.nii")), (LabelSource((Source("/in/seg.nii"),)),))
    assert case.files == ("/in/series/1.dcm", "/in/series/2.dcm", "/in/pet.nii", "/in/seg.nii")
