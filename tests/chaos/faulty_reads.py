"""Every readable format while the disk fails once, at one call after another; prints what broke a promise.

Runs in a process with the library of ``faulty_disk.c`` preloaded, for the folder FAULTY_DISK.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from chaos.fuzz_samples import Sample, make_samples

from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source

ONCE = ("read:EIO", "open:ESTALE")
ALWAYS = ("read:short:always", "read:EINTR:every=2")

_disk = ctypes.CDLL(os.environ["LD_PRELOAD"])
_root = Path(os.environ["FAULTY_DISK"])
_told = Path(os.environ["FAULTY_DISK_TOLD"])


def voxels_of(source: Source, plan: str) -> list[np.ndarray]:
    """The volumes of a source, read while the disk follows a plan."""
    _told.unlink(missing_ok=True)
    _disk.faulty_disk_plan(plan.encode())
    try:
        return [volume.array for volume in read(source, ReadRules(roots=(str(_root),))).volumes]
    finally:
        _disk.faulty_disk_plan(b"")


def broken_promise(source: Source, plan: str, clean: list[np.ndarray], *, may_fail: bool) -> str:
    """A disk that failed once costs nothing or an OSError with its number and the file; never voxels."""
    try:
        voxels = voxels_of(source, plan)
    except OSError as error:
        named = str(error.filename).startswith(str(_root))
        return "" if may_fail and error.errno and named else f"{plan}: {error!r}"
    except Exception as error:
        return f"{plan}: {error!r}"
    return "" if all(map(np.array_equal, voxels, clean)) else f"{plan}: other voxels"


def broken_promises(sample: Sample) -> tuple[int, list[str]]:
    """How many faults a sample met, and what they broke."""
    folder = _root / sample.name
    folder.mkdir()
    for name, content in sample.files.items():
        (folder / name).write_bytes(content)
    source = Source(str(folder / sample.source))
    clean = voxels_of(source, "")
    told = [broken_promise(source, plan, clean, may_fail=False) for plan in ALWAYS]
    for fault in ONCE:
        for number in itertools.count(1, step=1 if len(sample.files) < 3 else 7):
            promise = broken_promise(source, f"{fault}:at={number}", clean, may_fail=True)
            if not _told.exists():
                break  # there are not so many calls
            told.append(promise)
    return len(told), [promise for promise in told if promise]


def main() -> None:
    sitk.ProcessObject.GlobalWarningDisplayOff()
    print(json.dumps({sample.name: broken_promises(sample) for sample in make_samples()}))


if __name__ == "__main__":
    main()
