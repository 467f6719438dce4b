"""Decoded cases that lie ready for the next pass over the same files (``run.scratch``).

A case that is read twice (its cohort is measured first, or another run makes other outputs of it) is inflated
and checked once; the second time it comes from a file here. That file counts only if the case's files are as
they were and all that decides ``assemble`` is the same. A damaged, stale or foreign one is as good as none,
and so is a disk that fails: nothing here decides anything about the results.

It has to pay. CPU milliseconds per MB of voxels, image and label map together, on one core
(``benchmarks/decoded_scratch.py``; a shared EPYC, 2026-11-26):

    case                            read files   keep   take   of the bytes
    CT phantom, .nii.gz                   1.56   0.51   0.33           35 %
    CT of a chest, NRRD                   1.29   0.62   0.26           27 %
    MR of a head, NRRD                    1.24   0.67   0.33           20 %
    CT phantom, not compressed            0.93   0.45   0.33           35 %

So nothing is kept of files that are not compressed: to keep and to take them is hardly cheaper than to read
them again. Nor is a case that was read in less than ``_PAYS`` a byte, whatever its files are.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.config.scratch import DecodedScratch
from gpuprep.host.owners import is_abandoned, mark, owner_in
from gpuprep.host.scratch import Scratch
from gpuprep.io.rules import source_in_memory
from gpuprep.preprocess.assemble import Assembled, assemble
from gpuprep.preprocess.decoded_file import (
    Damaged,
    most_bytes,
    read_arrays,
    read_words,
    write_arrays,
)
from gpuprep.preprocess.decoded_words import decided_by, from_words, stamps, to_words
from gpuprep.preprocess.reading import Reader
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.findings import Finding, Findings

_SUFFIX, _PARTIAL = ".decoded", ".partial"
_OURS = re.compile(r"[0-9a-f]{32}(\.decoded|\.[0-9a-f]{22}-[0-9]+-[0-9]*-[0-9a-f]{8}\.partial)")
"""Names of what is put here, for a folder may hold other things."""
_PAYS = 0.9e-9  # seconds a byte of voxels that reading takes at least
_WORDS = 1 << 20  # bytes that the words of a case take at most, at first guess


def read_case(task: CaseTask, config: Config, reader: Reader, findings: Findings) -> Assembled:
    """What ``assemble`` makes of a case, from the scratch where it lies there; else it may be kept there.

    Raises:
        InputError: as ``assemble``.
    """
    rule = config.run.scratch
    make = partial(
        assemble,
        task.case,
        config,
        reader,
        findings,
        agreement=task.agreement,
        threads=task.threads,
    )
    if rule is None:
        return make()
    kept = KeptCase(task, config)
    if (taken := kept.take()) is not None:
        assembled, found = taken
        findings.items.extend(found)
        return assembled
    start, before = time.perf_counter(), len(findings.items)
    assembled = make()
    is_wanted = rule.after == "keep" or task.kind == "measure"
    if is_wanted and pays(assembled, time.perf_counter() - start):
        kept.keep(assembled, findings.items[before:], rule.bytes)
    return assembled


def let_go(task: CaseTask, config: Config) -> None:
    """The case is stored: unless another run has yet to read it, its place in the scratch is free."""
    rule = config.run.scratch
    if rule is not None and rule.after == "drop":
        KeptCase(task, config).drop()


def pays(assembled: Assembled, seconds: float) -> bool:
    """Whether a case that took so long to read is worth keeping."""
    size = assembled.decoded_bytes
    files = sum(entry.size for entry in assembled.identity)
    return files < size and seconds > size * _PAYS


def clear_scratch(rule: DecodedScratch | None) -> None:
    """A run is over: unless another one has yet to read it, its scratch goes, with the folder if it is empty.

    On other hosts there is left what belongs to cases that failed.
    """
    if rule is None or rule.after == "keep":
        return
    with suppress(OSError):
        for file in Path(rule.folder).iterdir():
            if _OURS.fullmatch(file.name):
                file.unlink(missing_ok=True)
        Path(rule.folder).rmdir()


class KeptCase:
    """The place of one case in the scratch, under one config's way of reading it."""

    def __init__(self, task: CaseTask, config: Config) -> None:
        assert config.run.scratch is not None
        self._task, self._config = task, config
        self._folder = Path(config.run.scratch.folder)
        text = json.dumps(decided_by(task, config), sort_keys=True).encode()
        self._decided = json.loads(text)  # as a file gives it back
        self.file = self._folder / f"{hashlib.sha256(text).hexdigest()[:32]}{_SUFFIX}"

    def take(self) -> tuple[Assembled, list[Finding]] | None:
        """The case and the findings about it; None where it is not here, or is not what it was.

        One that is of no use to anybody goes.
        """
        try:
            with open(self.file, "rb", opener=_regular_file) as file:
                tree = read_words(file)
                words = tree["words"]
                self._check(words)
                arrays = read_arrays(file, tree["arrays"], self._allocate, self._task.threads)
                return from_words(words["case"], arrays, self._config.label.loss)
        except FileNotFoundError:
            return None
        except (Damaged, OSError, LookupError, TypeError, ValueError):
            self.drop()
            return None

    def keep(self, assembled: Assembled, findings: Sequence[Finding], budget: int) -> None:
        """Put a case here, if it fits the ``budget`` of the folder and its disk takes it."""
        arrays = [*assembled.channels, *assembled.labels.values()]
        words = {"decided": self._decided, "case": to_words(assembled, findings)}
        wanted = most_bytes(arrays) + _WORDS
        partial = self.file.with_name(f"{self.file.stem}.{mark()}{_PARTIAL}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._reserve(partial, wanted, budget):
                return
            with partial.open("r+b") as file:
                write_arrays(file, arrays, words, self._task.threads)
                if file.tell() > wanted:
                    raise ValueError("more words than any case has")
                file.truncate()
            partial.replace(self.file)
        except (OSError, TypeError, ValueError):
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def drop(self) -> None:
        """Take it away, if it is here."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)

    def _check(self, words: dict[str, Any]) -> None:
        """Raises Damaged, or OSError, where the case is another or its files are not as they were."""
        identity = words["case"]["identity"]
        then = sorted({(row["path"], row["size"], row["mtime_ns"]) for row in identity})
        now = stamps([*self._task.case.files, *(row["path"] for row in identity)])
        if words["decided"] != self._decided or list(map(list, then)) != now:
            raise Damaged("it is of other files")
        policy = Findings(self._config.input.policy).policy
        if any(policy(row["code"]) == "error" for row in words["case"]["findings"]):
            raise Damaged("it is to be refused")

    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Memory as a reader would take it: what is beyond a file's part of the task's lies on disk."""
        in_memory = source_in_memory(self._task.memory)
        return Scratch(self._task.output, in_memory).empty(shape, dtype)

    def _reserve(self, partial: Path, size: int, budget: int) -> bool:
        """Make the file to write, already of its full length on paper, if the budget allows it."""
        with _alone_in(self._folder):
            taken = 0
            for entry in os.scandir(self._folder):
                if _is_left_behind(entry):
                    Path(entry.path).unlink(missing_ok=True)
                else:
                    taken += entry.stat(follow_symlinks=False).st_size
            if taken + size > budget:
                return False
            with partial.open("xb") as file:
                file.truncate(size)
            return True


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """A block that no other process has entered for the same folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_left_behind(entry: os.DirEntry[str]) -> bool:
    """Whether a file is what a process that is gone was writing."""
    if not entry.name.endswith(_PARTIAL):
        return False
    try:
        owner = owner_in(entry.name.removesuffix(_PARTIAL).partition(".")[2])
        return is_abandoned(Path(entry.path), owner)
    except ValueError:
        return False


def _regular_file(path: str, flags: int) -> int:
    """Opens a regular file of this user; OSError for anything else that lies in its place."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    seen = os.fstat(descriptor)
    if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(f"{path} is no file of ours")
    return descriptor
