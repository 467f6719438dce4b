"""obstore, which speaks to object stores: loaded when it is needed, its errors as gpuprep's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from gpuprep.values.errors import BackendError, RunStopped, StoreError, UsageError

_users: set[int] = set()  # the process whose threads serve obstore; a fork inherits the mark


@cache
def load_obstore() -> Any:
    """The library of object stores. Raises BackendError where it is not installed."""
    try:
        import obstore
        import obstore.exceptions
    except ImportError as error:
        raise BackendError(
            "object stores need the library obstore", advice="pip install 'gpuprep[s3]'"
        ) from error
    return obstore


def refuse_forked(bucket: str) -> None:
    """Raises StoreError in a process that was forked from one that used a store."""
    _users.add(os.getpid())
    if len(_users) > 1:
        _users.discard(os.getpid())
        raise StoreError(
            f"{bucket}: this process was forked from one that used an object store already",
            advice="start worker processes with spawn or forkserver (multiprocessing_context)",
        )


@contextmanager
def object_faults(
    path: object, kind: type[StoreError] | type[RunStopped] = StoreError
) -> Iterator[None]:
    """Turns what a store answers for ``path`` into the errors of gpuprep.

    Raises:
        UsageError: there is no such bucket.
        StoreError: the object changed, or could not be read after all retries.
        RunStopped: where ``kind`` says so, since a store that takes nothing takes no case.
    """
    faults = load_obstore().exceptions
    try:
        yield
    except faults.PreconditionError as error:
        raise StoreError(
            f"{path}: the object was replaced while it was open",
            advice="open the cohort again to read the case that is there now",
        ) from error
    except (faults.PermissionDeniedError, faults.UnauthenticatedError) as error:
        raise kind(
            f"{path}: the store refuses access",
            advice="check the credentials in the environment and the policy of the bucket",
        ) from error
    except FileNotFoundError as error:  # from a request that makes an object
        raise UsageError(
            f"{path}: there is no such bucket", advice="make the bucket first, or correct the URL"
        ) from error
    except faults.BaseError as error:
        reason = str(error).partition("\n")[0]
        raise kind(
            f"{path}: {reason}",
            advice="check the bucket, the region and the network, then run the same command again",
        ) from error
