"""The process of one job: ``python -m gpuprep.service.child JOBDIR``, the same run that the command does.

It needs nothing of the service once it has begun, and outlives it. Only one at a time has a job: it locks
the job's folder. Its last word is ``end.json``.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.host.atomic import replaced
from gpuprep.host.failpoints import failpoint
from gpuprep.host.owners import this_process
from gpuprep.ledger.log import RunLog
from gpuprep.ledger.report import RunReport
from gpuprep.service.jobs import CHILD_FILE, EVENTS_FILE, JobFolder, State
from gpuprep.values.errors import GpuprepError, RunStopped, StoreFault
from gpuprep.values.events import Event, RunStarted

START_FILE = "start.json"
TAKEN = 75
"""What it exits with where another process has the job."""


def main(folder: Path) -> int:
    """Do the job of a folder to its end, and say how it ended."""
    job = JobFolder(folder)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return TAKEN
        if job.end() is not None:  # another process did it meanwhile
            return TAKEN
        with replaced(folder / CHILD_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(this_process()), "utf-8")
        failpoint("job_begun", str(folder))
        state, reason = _ended(job, lambda: _run(job))
        failpoint("job_done", str(folder))
        job.close(state, reason)
    return 0


def _run(job: JobFolder) -> RunReport:
    from gpuprep.running.coordinator import run

    start: dict[str, Any] = json.loads((job.path / START_FILE).read_bytes())
    return run(
        start["input"],
        start["output"],
        config=parse_config(start["config"], "the config of the job"),
        workers=start["workers"],
        scheduler=start["scheduler"],
        only=start["only"],
        limit=start["limit"],
        overwrite=start["overwrite"],
        listeners=[_begun(job), RunLog(job.path, file=job.path / EVENTS_FILE, most_bytes=math.inf)],
    )


def _begun(job: JobFolder) -> Callable[[Event], None]:
    """Tells that the run begins, and heeds a request to cancel that came before signals were minded."""

    def listen(event: Event) -> None:
        if isinstance(event, RunStarted):
            job.begin()
            if job.is_cancelled:
                os.kill(os.getpid(), signal.SIGTERM)

    return listen


def _ended(job: JobFolder, work: Callable[[], RunReport]) -> tuple[State, str]:
    try:
        report = work()
    except KeyboardInterrupt:
        return ("cancelled", "") if job.is_cancelled else ("paused", "interrupted")
    except (RunStopped, StoreFault) as error:
        return "paused", _in_words(error)
    except GpuprepError as error:
        return ("cancelled", "") if job.is_cancelled else ("failed", _in_words(error))
    except BaseException as error:
        traceback.print_exc()
        return "failed", f"a bug in gpuprep: {type(error).__name__}: {error}"
    return _state(job, report)


def _state(job: JobFolder, report: RunReport) -> tuple[State, str]:
    finished = report.finished
    if report.interrupted or (finished.stopped and job.is_cancelled):
        return ("cancelled", "") if job.is_cancelled else ("paused", "interrupted")
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
