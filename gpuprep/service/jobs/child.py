"""The process of one job: ``python -m gpuprep.service.jobs.child JOBDIR``, the run that the command does too.

It does nothing before the service has written down which process this is, and says ``go``. From then on it
needs nothing of the service, and outlives it. Only one at a time has a job: it locks the job's folder. Its
last word is ``end.json``.
"""

from __future__ import annotations

import fcntl
import math
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.host.failpoints import failpoint
from gpuprep.host.priority import take_turns
from gpuprep.ledger.log import RunLog
from gpuprep.ledger.metrics import Metrics, MetricsFile
from gpuprep.ledger.report import RunReport
from gpuprep.service.jobs.folder import LOCK_FILE, JobFolder
from gpuprep.service.jobs.job import EVENTS_FILE, State
from gpuprep.service.tally import METRICS_FILE
from gpuprep.values.errors import GpuprepError, RunStopped, StoreFault
from gpuprep.values.events import Event, RunStarted

GO = b"go"
LATE = "all its cases were done by then"
"""Why a job is cancelled that left nothing undone."""
TAKEN = 75
"""What it exits with where another process has the job, or the service died before it said ``go``."""
_PATIENCE_SECONDS = 60.0  # with a disk that does not take the last word
_PAUSE_SECONDS = 1.0


def main(folder: Path) -> int:
    """Do the job of a folder to its end, and say how it ended."""
    take_turns()
    if os.read(0, len(GO)) != GO:
        return TAKEN
    job = JobFolder(folder)
    with (folder / LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TAKEN
        if job.end() is not None:  # another process did it meanwhile
            return TAKEN
        with suppress(OSError):
            (folder / METRICS_FILE).unlink()  # of a round before
        failpoint("job_begun", str(folder))
        ended = _ended(job, lambda: _run(job))
        failpoint("job_done", str(folder))
        _close(job, *ended)
    return 0


def _close(job: JobFolder, state: State, reason: str) -> None:
    """Say how the job ended; a disk that refuses now may take it in a moment."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            job.close(state, reason, interrupted=reason == _INTERRUPTED)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _run(job: JobFolder) -> RunReport:
    from gpuprep.running.coordinator import run

    start: dict[str, Any] = job.start()
    return run(
        start["input"],
        start["output"],
        config=parse_config(start["config"], "the config of the job"),
        workers=start["workers"],
        scheduler=start["scheduler"],
        only=start["only"],
        limit=start["limit"],
        overwrite=start["overwrite"],
        listeners=_listeners(job),
    )


def _listeners(job: JobFolder) -> list[Callable[[Event], None]]:
    numbers = Metrics()
    counted = MetricsFile(numbers, job.path / METRICS_FILE)
    log = RunLog(job.path, file=job.path / EVENTS_FILE, most_bytes=math.inf)
    return [numbers, counted, _begun(job), log]


def _begun(job: JobFolder) -> Callable[[Event], None]:
    """Tells that the run begins."""

    def listen(event: Event) -> None:
        if isinstance(event, RunStarted):
            job.begin()

    return listen


_INTERRUPTED = "interrupted"


def _ended(job: JobFolder, work: Callable[[], RunReport]) -> tuple[State, str]:
    if job.is_cancelled:
        return "cancelled", ""
    try:
        report = work()
    except KeyboardInterrupt:
        return ("cancelled", "") if job.is_cancelled else ("paused", _INTERRUPTED)
    except (RunStopped, StoreFault) as error:
        return ("cancelled", "") if job.is_cancelled else ("paused", _in_words(error))
    except GpuprepError as error:
        return ("cancelled", "") if job.is_cancelled else ("failed", _in_words(error))
    except BaseException as error:
        with suppress(OSError):
            traceback.print_exc()
        return "failed", f"a bug in gpuprep: {type(error).__name__}: {error}"
    return _state(job, report)


def _state(job: JobFolder, report: RunReport) -> tuple[State, str]:
    finished = report.finished
    if job.is_cancelled:
        return "cancelled", "" if finished.remaining else LATE
    if report.interrupted:
        return "paused", _INTERRUPTED
    if finished.stopped:
        return "paused", finished.stopped
    if report.failures:
        return (
            "succeeded_with_failures",
            f"{finished.failed} case{'s' * (finished.failed != 1)} failed",
        )
    return "succeeded", ""


def _in_words(error: GpuprepError) -> str:
    return f"{error}; {error.advice}" if error.advice else str(error)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
