"""Cases larger than their memory: the same bytes, with what does not fit on disk."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpuprep.config.file import parse_config
from gpuprep.host.scratch import Scratch
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.sandbox.shared_voxels import SharedMemory
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.projection import check_memory, footprint
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import open_case
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import MemoryShortage
from gpuprep.values.geometry import Geometry

MIB = 1 << 20
CONFIG = parse_config(
    {
        "image": {
            "resample": {"spacing": [1.2, 1.2, 1.5]},
            "foreground": {"outside": "zero"},
            "intensity": [{"zscore": {"over": "foreground"}}],
        },
        "store": {"fsync": "never"},
        "cuda": {"voxels": 0},
    }
)


def is_on_disk(array: np.ndarray) -> bool:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is not None


def test_arrays_beyond_the_memory_lie_on_disk_and_leave_nothing(tmp_path):
    scratch = Scratch(tmp_path, 100)
    first, second = scratch.empty((10, 5), "u1"), scratch.empty((10, 6), "u1")
    third = scratch.empty((10, 5), "u1")
    assert [is_on_disk(array) for array in (first, second, third)] == [False, True, False]
    second[...] = 7
    assert (second == 7).all()
    assert not list(tmp_path.iterdir())
    assert not is_on_disk(Scratch().empty((1000, 1000), "f4"))


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(OSError, match=r"space|large|quota"):
        Scratch(tmp_path, 0).empty((1 << 20, 1 << 25), "f8")


@pytest.mark.parametrize(
    "empty",
    [
        lambda folder: Scratch(folder, 0).empty((5, 5), np.dtype("u1")),
        lambda folder: SharedMemory(0, str(folder)).allocate((5, 5), np.dtype("u1")),
    ],
    ids=["results", "voxels"],
)
def test_a_failing_disk_is_no_shortage_of_memory(tmp_path, monkeypatch, empty):
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}'"):
        empty(tmp_path)


def make_files(folder: Path) -> Case:
    import nibabel

    random = np.random.default_rng(3)
    shape = (128, 120, 200)
    voxels = random.normal(0, 200, shape).astype(np.int16)
    voxels[:, :30] = 0
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / "image.nii")
    nibabel.save(nibabel.Nifti1Image((voxels > 0).astype(np.uint8), affine), folder / "label.nii")
    label = LabelSource((Source(str(folder / "label.nii")),))
    return Case("a", (Source(str(folder / "image.nii")),), (label,))


@pytest.mark.parametrize("megabytes", [48, 64])
def test_a_case_larger_than_its_memory_has_the_same_bytes(tmp_path, megabytes):
    case = make_files(tmp_path)
    stored = {}
    for name, memory in (("whole", 0), ("tight", megabytes * MIB)):
        folder = tmp_path / name
        folder.mkdir()
        plan = CaseTask(case, str(folder), "digest", memory=memory)
        with Sandbox(ReadRules.of(CONFIG, memory=plan.memory, scratch=plan.output)) as sandbox:
            record = run_case(plan, CONFIG, sandbox.read)
        assert {path.name for path in folder.iterdir()} <= {"cases", ".staging"}
        open_case(folder / "cases" / "a.zarr")
        stored[name] = record["files"]
    assert stored["tight"] == stored["whole"]


def test_a_case_that_fits_in_no_way_is_refused_with_both_numbers():
    needed = footprint(1 << 30, Geometry((512, 512, 512)), 1, CONFIG)
    assert needed.working < needed.peak
    check_memory("a", needed.working, 0)
    check_memory("a", needed.working, needed.working)
    with pytest.raises(MemoryShortage, match=r"a needs at least .* GiB, but 0\.10 GiB"):
        check_memory("a", needed.working, 100 * MIB)


def test_memory_that_must_be_there_is_what_a_case_takes(tmp_path):
    """The anonymous memory of a process that does a large volume stays below the promise."""
    code = f"""
import re, sys, threading
import numpy as np
from gpuprep.preprocess.projection import footprint
from gpuprep.values.grids import GridMapping
from gpuprep.ops.operations import Held, HostOperations
from gpuprep.ops.resample import Resampling
from gpuprep.host.scratch import Scratch, map_file
from gpuprep.config.file import parse_config
from gpuprep.values.geometry import Geometry

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

source, target = (600, 256, 256), (500, 256, 256)
array = np.frombuffer(map_file({str(tmp_path)!r}, 2 * np.prod(source)), np.int16).reshape(source)
array[::7] = 40
operations = HostOperations(2, Scratch({str(tmp_path)!r}, 0))
before, most, over = anonymous(), 0, threading.Event()
def watch():
    global most
    while not over.wait(0.002):
        most = max(most, anonymous())
thread = threading.Thread(target=watch); thread.start()
(out,) = operations.empty(1, target, "f2", 32)
how = Resampling(GridMapping(target, (1.2, 1.0, 1.0)), "cubic", value_range=(0, 40))
operations.resample(Held(array), how, out)
over.set(); thread.join()
config = parse_config({{"image": {{"resample": {{"shape": target[::-1]}}}}}})
print(most - before, footprint(array.nbytes, Geometry(source), 1, config).working)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    taken, promised = map(int, done.stdout.split())
    assert 0 < taken <= promised
    assert promised < 2 * 500 * 256 * 256 * 6
