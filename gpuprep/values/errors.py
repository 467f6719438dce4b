"""The error tree, and what each error means for a case and for a run.

    GpuprepError
    ├── UsageError            the command or a path on it is wrong      nothing started, exit 2
    │   ├── ConfigError       a config value or key is wrong
    │   ├── BackendError      the asked-for backend cannot be used here
    │   └── UnknownOutput     a case has no output of that name
    ├── CaseError             one case cannot be done; the run goes on  exit 1
    │   ├── InputError        the case's files are at fault (carries an issue code)
    │   ├── ReaderCrash       a reader died or hung on the file
    │   ├── Overdue           the case took longer than it may
    │   ├── MemoryShortage    the case does not fit the memory it may use
    │   ├── DeviceFailure     CUDA refused a step; the case can be done elsewhere
    │   │   └── DeviceLost    the CUDA device stopped working; not the case's fault
    │   ├── ValueRangeError   results do not fit the stored dtype
    │   └── InternalError     a bug of ours, with the original text
    ├── StoreError            a stored case or cohort cannot be read or written
    │   ├── NotArrays         a case is there, and what is asked for holds no arrays
    │   ├── CorruptStoreError a stored byte is not what its record says
    │   └── StoreFault        the disk or the network failed            exit 3 where the run cannot go on
    ├── ServiceError          a service refuses what it was asked       exit 2, or 3 where it may pass
    └── RunStopped            the whole run cannot go on                exit 3

    CohortWarning (UserWarning): something about a cohort that a training should know.

Every error is picklable, has a ``kind`` (a stable word for machines) and a ``retry`` class that tells
whether trying again can help. Messages name the case, the file, what disagrees and what to do.
"""

from __future__ import annotations

import errno
from typing import ClassVar, Literal

TRANSIENT = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.EINTR}
    | {errno.ENFILE, errno.EMFILE, errno.EREMOTEIO, errno.ENETDOWN, errno.ENETUNREACH}
    | {errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET, errno.ENOTCONN}
)
"""Numbers of the system's errors that may pass by themselves."""

MOST_TEXT = 4000
"""Letters of a message about a file: headers, which messages quote, may be of megabytes."""

Retry = Literal["never", "transient", "memory", "crash", "infrastructure"]


class CohortWarning(UserWarning):
    """Something about a cohort that a training should know."""


class GpuprepError(Exception):
    """Base of every error gpuprep raises on purpose."""

    kind: ClassVar[str] = "error"
    retry: ClassVar[Retry] = "never"

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__)

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[GpuprepError], state: dict[str, object]) -> GpuprepError:
    """Recreate an error in another process without calling its constructor again."""
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (state.get("message", ""),)
    return error


def quoted(message: str) -> str:
    """A message about a file, cut where it quotes too much of it."""
    return message if len(message) <= MOST_TEXT else message[:MOST_TEXT] + " …"


class UsageError(GpuprepError):
    """The command line, a path or an argument is wrong; nothing was started."""

    kind = "usage"


class ConfigError(UsageError):
    """A config file has an unknown key, a wrong value or an impossible combination."""

    kind = "config"


class UnknownOutput(UsageError):
    """An output that a case does not have."""


class BackendError(UsageError):
    """The requested backend is not usable on this machine; the message says what is missing."""

    kind = "backend"


class CaseError(GpuprepError):
    """One case failed; every other case goes on."""

    kind = "case"


class InputError(CaseError):
    """A case's input is unusable: ``code`` is one of the issue codes in ``findings``."""

    kind = "input"

    def __init__(self, code: str, message: str, *, path: str = "", advice: str = "") -> None:
        super().__init__(quoted(message), advice=advice)
        self.code = code
        self.path = path

    def __str__(self) -> str:
        where = f" [{self.path}]" if self.path else ""
        return f"{self.code}: {self.message}{where}"


class ReaderCrash(CaseError):
    """The child process that read a file died, hung past its deadline or ran out of memory."""

    kind = "crash"
    retry = "crash"

    def __init__(self, message: str, *, path: str = "", advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.path = path


class Overdue(CaseError):
    """The case was not done within its deadline."""

    kind = "deadline"
    retry = "crash"


class MemoryShortage(CaseError):
    """The case needs more memory than it may use; the message has both numbers."""

    kind = "memory"
    retry = "memory"


class DeviceFailure(CaseError):
    """CUDA refused a step of a case; the case itself can be done elsewhere."""

    kind = "device"
    retry = "infrastructure"


class DeviceLost(DeviceFailure):
    """The CUDA device failed under a case, and can not be used by this process any more."""


class ValueRangeError(CaseError):
    """The results of a case do not fit the dtype they are to be stored in."""

    kind = "range"


class InternalError(CaseError):
    """Something in gpuprep went wrong that is nobody's input; ``details`` has the traceback."""

    kind = "bug"

    def __init__(self, message: str, *, advice: str = "", details: str = "") -> None:
        super().__init__(message, advice=advice)
        self.details = details


class StoreError(GpuprepError):
    """A stored cohort, case or array cannot be opened, read or written.

    ``code`` is what the system says of it (``EIO``, ``EACCES``), where it was the system.
    """

    kind = "store"

    def __init__(self, message: str, *, advice: str = "", code: str = "") -> None:
        super().__init__(message, advice=advice)
        self.code = code or self.kind.upper()


class NotArrays(StoreError):
    """A case or output is there, and holds no arrays: nnU-Net's files, or counts alone."""


class CorruptStoreError(StoreError):
    """Stored bytes are damaged, cut or missing, or do not agree with the case's record."""

    kind = "corrupt"


class StoreFault(StoreError):
    """The disk or the network under the output failed in a way that may pass (EIO, a stale handle)."""

    retry = "transient"


class ServiceError(GpuprepError):
    """A service refused what it was asked, or could not be reached.

    ``code`` is its stable word for the reason (``E_JOB``), ``status`` that of HTTP; 0 where no answer came.
    """

    kind = "service"

    def __init__(self, message: str, *, advice: str = "", code: str = "", status: int = 0) -> None:
        super().__init__(message, advice=advice)
        self.code = code or "E_SERVICE"
        self.status = status

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered later: nothing is wrong with it."""
        return self.status in (0, 429) or self.status >= 500


class RunStopped(GpuprepError):
    """The run cannot go on (disk full, no workers, too many failures); it can be resumed."""

    kind = "stopped"
    retry = "infrastructure"
