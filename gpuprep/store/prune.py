"""Moving a case out of its cohort: what is in ``pruned/`` is whole, and no case of the cohort any more."""

from __future__ import annotations

import itertools
from pathlib import Path

from gpuprep.host.atomic import fsync_path
from gpuprep.host.failpoints import failpoint
from gpuprep.store.files import storage_faults
from gpuprep.store.layout import CASE_SUFFIX, PRUNED_FOLDER, RECORD_FILE, case_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import clear_case
from gpuprep.store.places import Place


def prune_case(root: Place, case_id: str) -> Place | None:
    """Move a case to ``pruned/``, under a further number where one of that id is there already.

    A folder is moved by one rename. An object store copies first and then deletes, records last and first:
    broken off, it is finished by a second call, and the case is in the cohort or out of it.

    Returns:
        Where it is now; None where there is no such case, of which nothing is left then.

    Raises:
        StoreError: the disk or the store refuses.
        RunStopped: the disk is full, or the store takes nothing.
    """
    source = root / case_path(case_id)
    with storage_faults(source):
        if source.version() is None:
            if isinstance(source, ObjectPath):
                clear_case(source)
            return None
        target = _free_place(root, case_id, source)
        if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
            _copy(source, target)
            failpoint("mid_prune", case_id)
            clear_case(source)
        else:
            _rename(Path(str(source)), Path(str(target)))
    failpoint("after_prune", case_id)
    return target


def _free_place(root: Place, case_id: str, source: Place) -> Place:
    """The first name that holds no case; on a store also one that an earlier try copied this case to."""
    for number in itertools.count(1):
        suffix = f".{number}" if number > 1 else ""
        target = root / PRUNED_FOLDER / f"{case_id}{suffix}{CASE_SUFFIX}"
        if target.version() is None:
            return target
        if isinstance(root, ObjectPath) and target.document(RECORD_FILE) == source.document(
            RECORD_FILE
        ):
            return target
    raise AssertionError("a number is free")


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    fsync_path(target.parent.parent)  # else the case may be in no folder that survives
    source.rename(target)
    for folder in (target.parent, source.parent):
        fsync_path(folder)


def _copy(source: ObjectPath, target: ObjectPath) -> None:
    names = {name for name, _ in source.files()}
    for name in (*sorted(names - {RECORD_FILE}), RECORD_FILE):
        source.copy(name, target / name)
