"""Why a case failed, as the record, the log and a person need it."""

from __future__ import annotations

import errno
import traceback

from gpuprep.preprocess.task import CaseTask
from gpuprep.store.files import CHECK_DISK
from gpuprep.values.errors import TRANSIENT, CaseError, GpuprepError, InputError, StoreError
from gpuprep.values.events import CaseFailed
from gpuprep.values.findings import FailureCode

_LOOK = (
    "gpuprep inspect shows what the reader sees; take the file out of the input if it is not needed"
)


def explain(task: CaseTask, error: Exception) -> CaseFailed:
    """What went wrong, for a person: kind, code, message, advice."""
    if isinstance(error, GpuprepError):
        retry = error.retry if isinstance(error, CaseError | StoreError) else "never"
        code = (
            error.code
            if isinstance(error, InputError | StoreError)
            else FailureCode(error.kind.upper())
        )
        path, details = (str(getattr(error, name, "")) for name in ("path", "details"))
        return CaseFailed(
            task.case.id,
            error.kind,
            code,
            error.message,
            error.advice or (_LOOK if isinstance(error, CaseError) else CHECK_DISK),
            path,
            details,
            retry,
        )
    details = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError):
        advice = "use fewer workers or a machine with more memory"
        return CaseFailed(
            task.case.id,
            "memory",
            FailureCode.MEMORY,
            "memory ran out",
            advice,
            "",
            details,
            "memory",
        )
    if isinstance(error, OSError):
        message = f"{error.filename or 'no file named'}: {error.strerror or error}"
        return CaseFailed(
            task.case.id,
            "io",
            errno.errorcode.get(error.errno or 0, FailureCode.OSERROR),
            message,
            CHECK_DISK,
            details=details,
            retry="transient" if error.errno in TRANSIENT else "never",
        )
    return CaseFailed(
        task.case.id,
        "bug",
        FailureCode.BUG,
        f"{type(error).__name__}: {error}",
        "this is a fault in gpuprep; run again with -v and report the traceback",
        "",
        details,
    )
