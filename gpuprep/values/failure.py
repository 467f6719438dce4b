"""Why a case failed where its files are not to blame."""

from __future__ import annotations

from enum import StrEnum


class FailureCode(StrEnum):
    """Why a case failed where its files are not to blame; failures of files carry a finding's code.

    A system's error keeps the system's name instead (``EIO``, ``EACCES``).
    """

    CASE = "CASE"
    """The case cannot be done, for a reason of its own."""
    CRASH = "CRASH"
    """The process that read a file of it died or hung."""
    DEADLINE = "DEADLINE"
    """It was not done within ``run.deadline``."""
    MEMORY = "MEMORY"
    """It needs more memory than it may take."""
    DEVICE = "DEVICE"
    """The CUDA device stopped working under it."""
    RANGE = "RANGE"
    """Its results do not fit the stored dtype."""
    BUG = "BUG"
    """A fault of gpuprep's own."""
    WORKER_DIED = "WORKER_DIED"
    """The worker that had it in hand died."""
    POISON = "POISON"
    """Workers died of it again and again, also when it ran alone."""
    STORE = "STORE"
    """Its output cannot be written or read."""
    CORRUPT = "CORRUPT"
    """Stored bytes of it are damaged."""
    CONFIG = "CONFIG"
    """A value of the config does not suit it."""
    BACKEND = "BACKEND"
    """The engine that was asked for cannot be used where it ran."""
    USAGE = "USAGE"
    """A path or an argument is wrong where it ran."""
    STOPPED = "STOPPED"
    """The run could not go on while it was in hand."""
    OSERROR = "OSERROR"
    """The system refused something and gave no name for it."""
