"""Why a case failed, as the record, the log and a person need it."""

from __future__ import annotations

import errno
import traceback
from functools import partial

from gpuprep.preprocess.task import CaseTask
from gpuprep.store.files import CHECK_DISK
from gpuprep.values.errors import TRANSIENT, CaseError, GpuprepError, InputError, Retry, StoreError
from gpuprep.values.events import CaseFailed
from gpuprep.values.failure import FailureCode

_LOOK = (
    "gpuprep inspect shows what the reader sees; take the file out of the input if it is not needed"
)


def explain(task: CaseTask, error: Exception) -> CaseFailed:
    """What went wrong, for a person: kind, code, message, advice."""
    failed = partial(CaseFailed, task.case.id)
    code: str
    if isinstance(error, GpuprepError):
        code = (
            error.code
            if isinstance(error, InputError | StoreError)
            else FailureCode(error.kind.upper())
        )
        return failed(
            error.kind,
            code,
            error.message,
            error.advice or (_LOOK if isinstance(error, CaseError) else CHECK_DISK),
            path=str(getattr(error, "path", "")),
            details=str(getattr(error, "details", "")),
            retry=error.retry if isinstance(error, CaseError | StoreError) else "never",
        )
    details = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError):
        code, advice = FailureCode.MEMORY, "use fewer workers or a machine with more memory"
        return failed("memory", code, "memory ran out", advice, details=details, retry="memory")
    if isinstance(error, OSError):
        code = errno.errorcode.get(error.errno or 0, FailureCode.OSERROR)
        message = f"{error.filename or 'no file named'}: {error.strerror or error}"
        retry: Retry = "transient" if error.errno in TRANSIENT else "never"
        return failed("io", code, message, CHECK_DISK, details=details, retry=retry)
    message = f"{type(error).__name__}: {error}"
    advice = "this is a fault in gpuprep; run again with -v and report the traceback"
    return failed("bug", FailureCode.BUG, message, advice, details=details)
