"""nnU-Net's folders of arrays, kept as the cases of a cohort are: hard links to their files, or copies.

nnU-Net takes every image in such a folder for a whole case and refuses files of other endings, so an image
comes last and goes first, and what is not whole lies elsewhere.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from gpuprep.host.atomic import fsync_path
from gpuprep.host.failpoints import failpoint
from gpuprep.nnunet.filled import OWN_FOLDER, Filled, FilledFolders
from gpuprep.store.layout import case_folder
from gpuprep.store.nnunet.case import IMAGE_FILE, LABEL_FILE, PROPERTIES_FILE
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseChanged, CaseDone, CaseFailed, Event, RunStarted

_SUFFIXES = {LABEL_FILE: "_seg.b2nd", PROPERTIES_FILE: ".pkl", IMAGE_FILE: ".b2nd"}
"""What the files of a case are called behind its id; the image last."""
_THEIRS = (".b2nd", ".pkl", ".npz", ".npy")
"""Endings of what nnU-Net, of this or an older version, writes itself."""
_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS)


class Projection:
    """Keeps the folders of some configurations; a listener of the run that makes their cases.

    What cannot be written while the run goes on is tried again by ``complete``, which tells it.
    """

    def __init__(
        self,
        dataset: Path,
        plans: str,
        digest: str,
        identifiers: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        """What a run of the plans fills.

        Args:
            dataset: The folder of the preprocessed data set.
            plans: The name of the plans.
            digest: Of the config of the cases.
            identifiers: The folder of each output.
            tell: Is told which arrays of another make went.
        """
        self._tell = tell
        self._dataset, self._cohort = dataset, cohort_folder(dataset, plans)
        self.aside = dataset / OWN_FOLDER / f".partial-{plans}"
        """Where files lie until they are whole: other plans may be prepared meanwhile."""
        self._folders = {output: dataset / name for output, name in identifiers.items()}
        self._filled = FilledFolders(dataset)
        self._wanted = {name: Filled(plans, output, digest) for output, name in identifiers.items()}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.copied = False
        """Whether the disk has no hard links, so that arrays are there twice."""

    def check(self) -> None:
        """Raises UsageError where a folder holds what neither nnU-Net nor gpuprep puts there, or is none."""
        for folder in self._folders.values():
            _check_place(folder, self._dataset)
            check_folder(folder)

    def _begin(self) -> None:
        """Empty the folders whose arrays are of another make."""
        for name, wanted in self._wanted.items():
            there = self._filled.read().get(name)
            if there != wanted:
                if cases := clear(self._dataset / name):
                    self._tell(f"{name}: {_whose(there, cases)} gone, this run makes them anew")
                self._filled.note(name, wanted)
            (self._dataset / name).mkdir(exist_ok=True)
        self.aside.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():  # not before: a run that is refused changes nothing
                with suppress(OSError):
                    self._begin()
            case CaseDone():
                self.failed.discard(event.case_id)
                self.done.add(event.case_id)
                with suppress(OSError):
                    self._link(event.case_id)
            case CaseFailed():
                self.failed.add(event.case_id)
                self.done.discard(event.case_id)
                self._drop(event.case_id)
            case CaseChanged():
                self._drop(event.case_id)

    def complete(self, members: Collection[str], *, ended: bool) -> None:
        """Bring the folders to what the run made of the cases ``members``, and to the disk.

        Args:
            members: Every case of the data set.
            ended: Whether the run came to its end; if not, cases that it did not come to stay.

        Raises:
            UsageError: a folder holds what nnU-Net refuses.
            OSError: the disk refuses.
        """
        self._begin()
        for case_id in sorted(self.done):
            self._link(case_id)
        kept = self.done if ended else set(members) - self.failed
        for folder in self._folders.values():
            names = {case_id + suffix for case_id in kept for suffix in _SUFFIXES.values()}
            _remove(folder, {path.name for path in _theirs(folder)} - names)
            check_folder(folder)
            fsync_path(folder)
        shutil.rmtree(self.aside, ignore_errors=True)

    def _link(self, case_id: str) -> None:
        """Put the files of a case there, its image last; none is touched where all are the same."""
        for output, folder in self._folders.items():
            source = case_folder(self._cohort, case_id) / output
            pairs = [(source / own, folder / f"{case_id}{end}") for own, end in _SUFFIXES.items()]
            if all(_is_same(own, theirs) for own, theirs in pairs):
                continue
            pairs[-1][1].unlink(missing_ok=True)
            for own, theirs in pairs:
                if not _is_same(own, theirs):
                    self.copied |= not place(own, theirs, self.aside)
                failpoint("mid_link", case_id)

    def _drop(self, case_id: str) -> None:
        with suppress(OSError):
            for folder in self._folders.values():
                _remove(folder, {case_id + suffix for suffix in _SUFFIXES.values()})


def cohort_folder(dataset: Path, plans: str) -> Path:
    """Where the cases of these plans lie."""
    return dataset / OWN_FOLDER / plans


def place(source: Path, target: Path, aside: Path) -> bool:
    """Make ``target`` a hard link to a file, or a copy where there are none, in one step.

    Args:
        source: The file.
        target: Its other name; what is there goes.
        aside: A folder on the same disk for what is not whole yet.

    Returns:
        Whether it is a link.
    """
    partial, linked = aside / f"{target.parent.name}.{target.name}", True
    partial.unlink(missing_ok=True)
    try:
        os.link(source, partial)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(source, partial)
        linked = False
    partial.replace(target)
    return linked


def clear(folder: Path) -> int:
    """Remove all that nnU-Net writes into a folder; returns how many cases that were."""
    names = {path.name for path in _theirs(folder)}
    _remove(folder, names)
    images = (".b2nd", ".npz")
    return sum(name.endswith(images) and not name.endswith("_seg.b2nd") for name in names)


def check_folder(folder: Path) -> None:
    """Raises UsageError where a folder holds what nnU-Net's loader refuses, or takes for a case."""
    theirs = {path.name for path in _theirs(folder)}
    strange = sorted(path.name for path in _entries(folder) if path.name not in theirs)
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise UsageError(
            f"{folder} holds {strange[0]}{more}, which is no array of nnU-Net's: its loader stops there",
            advice="move that elsewhere",
        )


def _check_place(folder: Path, dataset: Path) -> None:
    """Files come into a folder in one step, from beside it."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise UsageError(f"{folder} is no folder", advice="move it elsewhere")
    elif folder.stat().st_dev != dataset.stat().st_dev:
        raise UsageError(
            f"{folder} lies on another disk than {dataset}",
            advice="move the whole data set there, and link to that",
        )


def _theirs(folder: Path) -> Iterator[Path]:
    return (path for path in _entries(folder) if path.suffix in _THEIRS and not path.is_dir())


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(folder: Path, names: Collection[str]) -> None:
    """Remove files that may be there, images before what belongs to them."""
    for name in sorted(names, key=lambda name: (name.endswith(("_seg.b2nd", ".pkl")), name)):
        (folder / name).unlink(missing_ok=True)


def _is_same(one: Path, other: Path) -> bool:
    """Whether two names are one file, or one is a copy of the other."""
    try:
        own, theirs = one.stat(), other.stat()
    except FileNotFoundError:
        return False
    is_link = (own.st_dev, own.st_ino) == (theirs.st_dev, theirs.st_ino)
    facts = (own.st_size, own.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)
    return is_link or (facts and theirs.st_nlink == 1)


def _whose(there: Filled | None, cases: int) -> str:
    made = f"{cases} case{'s' * (cases != 1)}"
    if there is None:
        return f"{made} of nnU-Net's own are"
    return f"{made} of an earlier {there.configuration} of {there.plans} are"
