"""Making a finished case visible, also where a worker of another run was quicker."""

from __future__ import annotations

from gpuprep.preprocess.task import CaseTask
from gpuprep.store.commit import Staging
from gpuprep.store.layout import case_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import upload_case
from gpuprep.store.places import to_place
from gpuprep.store.record import read_record
from gpuprep.store.standing import wanted_digest
from gpuprep.values.errors import CorruptStoreError


def publish(task: CaseTask, staging: Staging, *, durable: bool) -> None:
    """Publish the case in staging: one rename or one upload.

    Where it is there already, one of the same config and statistics stays: it is the same case. One of others
    is by a worker that outlived its run, and gives way. Such a worker in turn finds that the output is not
    its run's any more, and leaves the case alone.

    Raises:
        StoreError: the disk or the store refuses.
        RunStopped: the disk is full.
    """
    if not _put(task, staging, durable=durable, replace=task.replace) and _is_stray(task):
        _put(task, staging, durable=durable, replace=True)


def _put(task: CaseTask, staging: Staging, *, durable: bool, replace: bool) -> bool:
    """False where the case was there already."""
    if task.url:
        return upload_case(staging.folder, ObjectPath(task.url), task.case.id, replace=replace)
    return staging.publish(replace=replace, durable=durable)


def _is_stray(task: CaseTask) -> bool:
    """Whether the output is ours, and the case that is there is not as it should be."""
    root = to_place(task.url or task.output)
    if wanted_digest(root) != task.digest:
        return False
    try:
        return read_record(root / case_path(task.case.id)).get("digest") != task.digest
    except CorruptStoreError:
        return True
