"""Real file systems on images, copied as a power cut leaves them: what was not written yet is lost.

The images lie on an XFS image of their own, for a clone there is a copy of one moment. The file system of the
clone replays its journal when it is mounted. ``python -m chaos.disk_images SCENARIO INPUTS OUTPUT`` is a run
that prints each case that it reports.
"""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from chaos.recorded_runs import SCENARIOS, Scenario
from support.reading import reading_here

from gpuprep.values.events import CaseDone

SYSTEM = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MAKERS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}
SIZE = 400 << 20  # mkfs.xfs makes none below 300 MiB
_FICLONE = 0x40049409
_BEGINS = b"begins\n"


@dataclass(frozen=True)
class Moment:
    """An image as it was, and the cases that had been reported before."""

    image: Path
    reported: frozenset[str]


def scenario_of(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


def make_image(file: Path, kind: str, size: int = SIZE) -> Path:
    """A sparse file with an empty file system."""
    with file.open("wb") as stream:
        stream.truncate(size)
    maker, *options = MAKERS[kind]
    command = [shutil.which(maker, path=SYSTEM) or maker, *options, str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return file


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """The file system of an image at a folder, which is made.

    Raises:
        CalledProcessError: the system does not mount it.
    """
    folder.mkdir(exist_ok=True)
    command = ["mount", "-o", "loop", str(image), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        gc.collect()  # maps of shards
        subprocess.run(["umount", str(folder)], check=True)


def refusal(work: Path) -> str:
    """Why no image can be mounted here; empty where they can."""
    lacking = [maker[0] for maker in MAKERS.values() if not shutil.which(maker[0], path=SYSTEM)]
    if lacking:
        return f"there is no {lacking[0]} here"
    try:
        with mounted(make_image(work / "try.img", "ext4"), work / "try"):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"images cannot be mounted here: {error}"


def clone(image: Path, target: Path) -> Path:
    """Copy an image on XFS as it is in one moment, while it may be written to."""
    with image.open("rb") as source, target.open("wb") as copy:
        fcntl.ioctl(copy, _FICLONE, source.fileno())
    return target


def moments(image: Path, name: str, inputs: Path, output: Path) -> Iterator[Moment]:
    """Clones of an image, one after another, while a run writes to the file system on it."""
    tests = Path(__file__).parents[1]
    path = os.pathsep.join((str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")))
    command = [sys.executable, "-m", "chaos.disk_images", name, str(inputs), str(output)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    ) as process:
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        told, ended, numbers = b"", False, itertools.count()
        while not ended:
            ended = process.poll() is not None
            told += process.stdout.read() or b""
            if _BEGINS not in told:
                continue
            taken = image.with_name(f"{image.stem}.{next(numbers)}")
            lines = told.rpartition(b"\n")[0].decode().splitlines()
            yield Moment(clone(image, taken), frozenset(lines[1:]))
    assert process.returncode == 0


def main(name: str, inputs: str, output: str) -> int:
    def report(event: object) -> None:
        if isinstance(event, CaseDone) and not event.skipped:
            print(event.case_id, flush=True)

    print(_BEGINS.decode(), end="", flush=True)
    with reading_here():
        return scenario_of(name).carry_out(Path(inputs), Path(output), report)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
