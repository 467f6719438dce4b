"""Publishing a case: built in a hidden folder, made visible by one rename, or not at all.

An attempt lives in ``.staging/<case id>.<attempt>/``, whose name says which process builds it: ``case/`` is
the case, and publishing renames that to ``cases/<case id>.zarr``. Any number of processes may attempt one
case; one wins and the others learn of it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import fsync_path
from gpuprep.host.failpoints import failpoint
from gpuprep.host.owners import is_abandoned, mark, owner_in
from gpuprep.store.files import storage_faults
from gpuprep.store.layout import (
    CASES_FOLDER,
    GROUP_FILE,
    RECORD_FILE,
    STAGING_FOLDER,
    case_folder,
    check_case_id,
)
from gpuprep.values.errors import StoreError

_RELATIVE_TO_CWD = -100  # AT_FDCWD
_RENAME_EXCHANGE = 2
_REFUSALS = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.ENOENT, errno.EPERM)

_CASE = "case"
_REPLACED = "replaced"
_RENAME_TRIES = 8


class Staging:
    """One attempt at one case: a folder to build it in, removed unless it is published.

    Example::

        with Staging(root, "liver_0") as staging:
            files = write_case(staging.folder, ...)
            write_record(staging.folder, {"files": files, ...})
            published = staging.publish()
    """

    def __init__(self, root: str | Path, case_id: str) -> None:
        """Name an attempt; nothing is written yet. Raises UsageError for an unsafe id."""
        attempt = f"{check_case_id(case_id)}.{mark()}"
        self.case_id = case_id
        self.target = case_folder(root, case_id)
        self._root = Path(root)
        self._attempt = self._root / STAGING_FOLDER / attempt
        self.folder = self._attempt / _CASE

    def __enter__(self) -> Staging:
        try:
            with storage_faults(self.folder):
                self._begin()
        except BaseException:
            self._remove()
            raise
        return self

    def _begin(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self._attempt.mkdir(parents=True)
        self.folder.mkdir()
        failpoint("after_stage", self.case_id)

    def begin_anew(self) -> None:
        """Take away what was written so far; raises StoreError where the disk refuses."""
        with storage_faults(self.folder):
            shutil.rmtree(self.folder)
            self.folder.mkdir()

    def __exit__(self, *error: object) -> None:
        self._remove()

    def _remove(self) -> None:
        """Take the attempt away, as far as the disk lets us; the next run sweeps what is left."""
        with suppress(OSError):
            _put_back(self._attempt, self.target)
            shutil.rmtree(self._attempt, ignore_errors=True)

    def publish(self, *, replace: bool = False, durable: bool = True) -> bool:
        """Make the case visible under its id.

        A folder of that name without a record is no case and gives way. A second call, and a call for
        a case somebody else finished first, returns False and changes nothing.

        Args:
            replace: Put this case in the place of a finished one.
            durable: Wait until every file and folder is on the disk before and after the rename.

        Returns:
            True if this attempt is now the case, False if the case was there already.

        Raises:
            StoreError: the record is not written yet, or the disk refuses.
            RunStopped: the disk is full.
        """
        if not self.folder.exists():
            return False
        if not (self.folder / RECORD_FILE).is_file():
            raise StoreError(f"{self.folder}: write the record before publishing the case")
        with storage_faults(self.target):
            if durable:
                _fsync_tree(self.folder)
            failpoint("after_fsync", self.case_id)
            published = self._rename(replace=replace)
            failpoint("after_rename", self.case_id)
            if durable:  # also for a case that an attempt before us renamed, and could not fsync
                fsync_path(self.target.parent)
        return published

    def _rename(self, *, replace: bool) -> bool:
        for _ in range(_RENAME_TRIES):
            try:
                self.folder.rename(self.target)
            except OSError:
                if not self.folder.exists() and self.target.exists():
                    return True  # a network disk reported failure of a rename that it had done
                if not self.target.exists():
                    raise
            else:
                return True
            if _is_case(self.target) and not replace:
                return False
            if replace and exchange(self.folder, self.target):
                self.folder.rename(self._aside())  # the old case, removed with the attempt
                return True
            self._clear_target(replace=replace)
        raise StoreError(
            f"{self.target}: other processes keep replacing this case",
            advice="run only one overwriting run at a time on an output folder",
        )

    def _aside(self) -> Path:
        """A name inside the attempt for a folder that gave way."""
        return self._attempt / f"{_REPLACED}.{uuid.uuid4().hex}"

    def _clear_target(self, *, replace: bool) -> None:
        """Move what stands in the way aside; put it back if it became a case in the meantime."""
        aside = self._aside()
        try:
            self.target.rename(aside)
        except FileNotFoundError:
            return
        if _is_case(aside) and not replace:
            with suppress(OSError):  # a third process may have published since
                aside.rename(self.target)


def sweep(root: str | Path) -> int:
    """Remove attempts whose process is gone, and halves of files; returns how many attempts.

    An attempt of another machine (or container) is removed once it is a day old. A case that was about
    to be replaced when its process died is put back.
    """
    staging = Path(root) / STAGING_FOLDER
    removed = 0
    _remove_partials(Path(root))
    with suppress(OSError):  # what the disk does not show now is swept by a later run
        attempts = [path for path in staging.iterdir() if path.is_dir()] if staging.is_dir() else []
        for attempt in sorted(attempts):
            if is_abandoned(attempt, _owner_of(attempt)):
                _put_back(attempt, case_folder(root, attempt.name.rpartition(".")[0]))
                shutil.rmtree(attempt, ignore_errors=True)
                removed += 1
    return removed


def _remove_partials(root: Path) -> None:
    """Remove what a power cut left of files that a run writes itself: it alone does, and holds the output."""
    for folder in (root, root / CASES_FOLDER):
        with suppress(OSError):
            for file in (*folder.glob(".*.partial"), *folder.glob(f".{GROUP_FILE}.*")):
                if file.is_file():
                    file.unlink(missing_ok=True)


def _put_back(attempt: Path, target: Path) -> None:
    """Give a case that an attempt took aside its place again, unless another one has it.

    Raises:
        OSError: the disk refuses; the attempt still holds the case.
    """
    for replaced in attempt.glob(f"{_REPLACED}.*"):
        if not _is_case(replaced) or target.exists():
            continue
        try:
            replaced.rename(target)
        except OSError:
            if not target.exists():
                raise


def _is_case(folder: Path) -> bool:
    return (folder / RECORD_FILE).is_file()


def _fsync_tree(folder: Path) -> None:
    for path, _, names in os.walk(folder, topdown=False):
        for name in names:
            fsync_path(Path(path, name))
        fsync_path(Path(path))


def _owner_of(attempt: Path) -> dict[str, Any] | None:
    """Who builds an attempt; None where its name does not say so."""
    try:
        return owner_in(attempt.name.rpartition(".")[2])
    except ValueError:
        return None


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one disk change places; False where the system cannot, or one of them is gone.

    Raises:
        OSError: the disk refuses for another reason.
    """
    rename = _renameat2()
    if rename is None:
        return False
    paths = (_RELATIVE_TO_CWD, os.fsencode(one), _RELATIVE_TO_CWD, os.fsencode(other))
    if rename(*paths, _RENAME_EXCHANGE) == 0:
        return True
    reason = ctypes.get_errno()
    if reason in _REFUSALS:
        return False
    raise OSError(reason, os.strerror(reason), str(other))


@cache
def _renameat2() -> Any:
    """The function of the C library, None where it has none."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        path, folder = ctypes.c_char_p, ctypes.c_int
        call.argtypes = (folder, path, folder, path, ctypes.c_uint)
    return call
