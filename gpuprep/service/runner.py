"""The processes of jobs: started, found again after the service's death, ended.

A process is known by its pid and the tick of its start. The service hears of its end by a descriptor for
the process, whether it started it or found it again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import replaced
from gpuprep.host.failpoints import failpoint
from gpuprep.host.owners import is_gone
from gpuprep.service.child import START_FILE
from gpuprep.service.jobs import OUTPUT_FILE, JobFolder

_LOOK_SECONDS = 2.0  # at processes of which no descriptor tells


class Runner:
    """The processes of jobs at work; ``on_end`` is told the id of a job whose process is gone."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._watched: dict[str, int] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    def start(self, job_id: str, folder: JobFolder, start: dict[str, Any], devices: str) -> None:
        """Begin a job in a process of its own session, which outlives this one.

        Raises:
            OSError: the system refuses.
        """
        with replaced(folder.path / START_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(start), "utf-8")
        environment = dict(os.environ)
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices
        failpoint("before_child", job_id)
        with (folder.path / OUTPUT_FILE).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "gpuprep.service.child", str(folder.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=environment,
            )
        failpoint("after_child", job_id)
        self._started[job_id] = process
        self._watch(job_id, process.pid)

    def adopt(self, job_id: str, folder: JobFolder) -> bool:
        """Watch the process that another life of the service started; False where it is gone."""
        child = folder.child()
        if child is None or is_gone(child):
            return False
        self._watch(job_id, int(child["pid"]), folder)
        return True

    def has(self, job_id: str) -> bool:
        return job_id in self._watched or job_id in self._looking

    def signal(self, folder: JobFolder, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell a job's process to end; nothing happens where there is none any more."""
        child = folder.child()
        if child is not None and is_gone(child) is False:
            with suppress(ProcessLookupError):
                os.kill(int(child["pid"]), number)

    def close(self) -> None:
        """Let go of all processes; they work on."""
        for job_id in list(self._watched):
            self._unwatch(job_id)
        for task in self._looking.values():
            task.cancel()

    def _watch(self, job_id: str, pid: int, folder: JobFolder | None = None) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:  # gone already, or a kernel before 5.3
            self._looking[job_id] = asyncio.ensure_future(self._look(job_id, folder))
            return
        self._watched[job_id] = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._ended, job_id)

    async def _look(self, job_id: str, folder: JobFolder | None) -> None:
        """Wait for the end of a process by looking at it from time to time."""
        while True:
            process = self._started.get(job_id)
            if process is not None and process.poll() is not None:
                break
            if process is None and (folder is None or not folder.lives()):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        self._looking.pop(job_id, None)
        self._ended(job_id)

    def _ended(self, job_id: str) -> None:
        self._unwatch(job_id)
        process = self._started.pop(job_id, None)
        if process is not None:
            process.wait()
        self._on_end(job_id)

    def _unwatch(self, job_id: str) -> None:
        descriptor = self._watched.pop(job_id, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


def last_lines(folder: JobFolder, most: int = 5) -> str:
    """The end of what a job's process printed."""
    with suppress(OSError):
        text = Path(folder.path / OUTPUT_FILE).read_bytes()[-4096:].decode("utf-8", "replace")
        return "\n".join(text.strip().splitlines()[-most:])
    return ""
