"""The processes of jobs: started, found again after the service's death, ended.

A process is known by its pid and the tick of its start, which are written down before it does anything.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress

from gpuprep.host.failpoints import failpoint
from gpuprep.host.owners import is_gone, process_named
from gpuprep.service.jobs.child import GO
from gpuprep.service.jobs.folder import OUTPUT_FILE, JobFolder

_TAIL_BYTES = 4096


class Runner:
    """The processes of jobs at work, those of an earlier life of the service among them."""

    def __init__(self) -> None:
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, job_id: str, folder: JobFolder, devices: str) -> None:
        """Begin a job in a process of its own session, which outlives this one.

        A process that is not written down never begins: where this one dies first, it ends by itself.

        Raises:
            OSError: the system refuses.
        """
        environment = dict(os.environ)
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices
        failpoint("before_child", job_id)
        with (folder.path / OUTPUT_FILE).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gpuprep.service.jobs.child", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment,
            )
        failpoint("after_child", job_id)
        assert process.stdin is not None
        try:
            named = process_named(process.pid)
            if named["started"]:  # else it is gone already
                folder.set_child(named)
            failpoint("child_named", job_id)
        except BaseException:
            process.kill()
            process.wait()
            raise
        with suppress(BrokenPipeError), process.stdin as ear:  # gone already: that is noticed later
            ear.write(GO)
        self._started[job_id] = process

    def is_at_work(self, job_id: str, folder: JobFolder) -> bool:
        """Whether a process has the job now."""
        process = self._started.get(job_id)
        if process is not None:
            if process.poll() is None:
                return True
            del self._started[job_id]
        return folder.lives()

    def signal(self, folder: JobFolder, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to a job's process; nothing happens where there is none any more."""
        child = folder.child()
        if child is None or is_gone(child) is not False:
            return
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(child["pid"])
            try:
                if is_gone(child) is False:  # the pid is not another's by now
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)


def last_lines(folder: JobFolder, most: int = 5) -> str:
    """The end of what a job's process printed."""
    with suppress(OSError), (folder.path / OUTPUT_FILE).open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        return "\n".join(text.strip().splitlines()[-most:])
    return ""
