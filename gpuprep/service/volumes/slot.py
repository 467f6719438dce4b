"""One warm slot from the service's side: its process, started, asked, killed when overdue, replaced."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gpuprep.host.signals import signals_blocked
from gpuprep.io.sandbox.wire import Wire
from gpuprep.service.volumes.orders import Order, Refused, Reply, Terms
from gpuprep.values.errors import BackendError, GpuprepError

_START_SECONDS = 300.0  # kernels may be compiled the first time
_SMALLER = "send a smaller volume, or ask the service's operator for a longer time (seconds)"


class Slot:
    """Prepares one volume at a time, in a process of its own; blocking, so call it in a thread.

    Whatever a volume does to the process costs that volume only: the next one finds another process.
    """

    def __init__(self, terms: Terms, environment: Mapping[str, str]) -> None:
        """Name a slot; nothing is started. ``environment`` comes on top of the service's own."""
        self._terms = terms
        self._environment = environment
        self._lock = threading.Lock()
        self._number = 0
        self._closed = False
        self._process: _Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process at present."""
        return self._process.popen.pid if self._process else None

    def start(self) -> None:
        """Have a process that is warm; one that lives stays.

        Raises:
            GpuprepError: none can be had.
        """
        with self._lock:
            self._living()

    def ask(self, order: Order, seconds: float) -> Reply:
        """Prepare a volume within so many seconds; whatever happens is in the reply."""
        with self._lock:
            try:
                process = self._living()
            except GpuprepError as error:
                return Reply(refused=Refused(503, "BACKEND", error.message, error.advice))
            deadline = time.monotonic() + seconds
            try:
                process.wire.send(order.to_json(), deadline=deadline)
                return Reply.from_json(process.wire.receive(deadline)[0])
            except TimeoutError:
                detail = f"{order.shown} was not prepared within {seconds:g} s"
                refused = Refused(422, "DEADLINE", detail, _SMALLER)
            except (EOFError, OSError, ValueError):
                detail = f"the process that prepared {order.shown} {process.last_word()}"
                refused = Refused(500, "WORKER_DIED", detail)
            self._end()
            return Reply(refused=refused)

    def close(self) -> None:
        """End the process for good, also one that works, and take away what it left."""
        self._closed = True
        process = self._process
        if process is not None:
            process.popen.kill()
        with self._lock:
            self._end()

    def _living(self) -> _Process:
        if self._process is not None and self._process.popen.poll() is not None:
            self._end()  # it died between two volumes
        if self._closed:
            raise BackendError("the service ends")
        if self._process is None:
            self._number += 1
            folder = f"{self._terms.folder}.{self._number}"
            terms = replace(self._terms, folder=folder)
            self._process = _Process(terms, self._environment)
            try:
                self._process.greet(terms)
            except BaseException:
                self._end()
                raise
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None


class _Process:
    """A process with a folder that goes with it."""

    def __init__(self, terms: Terms, environment: Mapping[str, str]) -> None:
        Path(terms.folder).mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs, signals_blocked():
            self.popen = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "gpuprep.service.volumes.slot_child",
                    str(theirs.fileno()),
                ],
                stdin=subprocess.PIPE,  # never written to; its end tells the process that we are gone
                stdout=subprocess.DEVNULL,
                env=_complete(environment),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self.wire = Wire(ours)
        self.end = weakref.finalize(self, _end, self.popen, self.wire, terms.folder)

    def greet(self, terms: Terms) -> None:
        """Tell it its terms, and wait until it is warm. Raises BackendError where it never is."""
        try:
            deadline = time.monotonic() + _START_SECONDS
            self.wire.send(terms.to_json(), deadline=deadline)
            answer = self.wire.receive(deadline)[0]
        except (EOFError, OSError, ValueError):  # TimeoutError is an OSError
            raise BackendError(
                f"the process of a slot {self.last_word()} before it was ready",
                advice="run gpuprep doctor",
            ) from None
        if "error" in answer:
            raise BackendError(str(answer["error"]), advice=str(answer["advice"]))

    def last_word(self) -> str:
        """How it ended; what it says goes to the service's standard error."""
        try:
            code = self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "stopped talking"
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def _end(process: subprocess.Popen[bytes], wire: Wire, folder: str) -> None:
    process.kill()
    process.wait()
    wire.close()
    if process.stdin is not None:
        process.stdin.close()
    shutil.rmtree(folder, ignore_errors=True)


def _complete(environment: Mapping[str, str]) -> Mapping[str, str]:
    root = str(Path(__file__).resolve().parents[2])  # the folder that holds the package
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    found = os.pathsep.join(dict.fromkeys([root, *map(os.path.abspath, paths)]))
    return {**os.environ, "PYTHONPATH": found, **environment}
