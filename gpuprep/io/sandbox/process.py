"""The child process of a sandbox: how it starts, how worn it is, how it ends, and who gets it next."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gpuprep.host.scratch import nameless_file
from gpuprep.host.signals import signals_blocked
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.environment import bare_environment
from gpuprep.io.sandbox.wire import Wire
from gpuprep.values.errors import InternalError

_START_SECONDS = 120.0
_GROWN = 128 << 20  # bytes that a process may take more than after its first headers


class ReadingProcess:
    """A running child process, ready for requests."""

    def __init__(self, rules: ReadRules) -> None:
        ours, theirs = socket.socketpair()
        self._stderr = nameless_file("gpuprep-reader-")
        module = "gpuprep.io.sandbox.child"
        with theirs, signals_blocked():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(theirs.fileno())],
                stdin=subprocess.PIPE,  # never written to; its end tells the child that we are gone
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                env=bare_environment(),
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self.wire = Wire(ours)
        self._reads = self._peeks = self._fresh_bytes = 0
        self.end = weakref.finalize(self, _end, self.process, self.wire, self._stderr)
        self._greet(rules)

    def _greet(self, rules: ReadRules) -> None:
        deadline = time.monotonic() + _START_SECONDS
        try:
            self.wire.send(rules.to_json(), deadline=deadline)
            self.wire.receive(deadline)
        except (EOFError, OSError, ValueError):  # TimeoutError is an OSError
            reason, tail = self.last_words()
            self.end()
            raise InternalError(
                f"the reader process {reason} before it was ready: {tail or 'it said nothing'}",
                advice="Run gpuprep doctor.",
            ) from None

    def is_worn(self, operation: str, number: int, most: int) -> bool:
        """Whether it served long enough, this request for so many sources among them.

        Native code reads voxels and may leave anything behind. Headers cost a new process only where the
        old one has grown.
        """
        if operation == "read":
            self._reads += number
            return self._reads >= most
        before = self._peeks // most
        self._peeks += number
        if self._peeks // most == before:
            return False
        self._fresh_bytes = self._fresh_bytes or self._resident_bytes()
        return self._resident_bytes() - self._fresh_bytes > _GROWN

    def _resident_bytes(self) -> int:
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]
        except (OSError, IndexError):  # it is gone, as the next request will tell
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def last_words(self) -> tuple[str, str]:
        """How the process ended, and the end of what it wrote to standard error."""
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = 0
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - 500))
        tail = " ".join(self._stderr.read().decode("utf-8", "replace").split())
        if code >= 0:
            return "stopped talking", tail
        name = signal.Signals(-code).name
        hint = " (as when memory runs out)" if name == "SIGKILL" else ""
        return f"died of {name}{hint}", tail


def _end(process: subprocess.Popen[bytes], wire: Wire, stderr: IO[bytes]) -> None:
    """Nothing of the child is worth waiting for: it owns no file and no memory with a name."""
    process.kill()
    process.wait()
    wire.close()
    stderr.close()
    if process.stdin is not None:
        process.stdin.close()


class _Idle:
    """One process that waits for the next sandbox, and what it is held to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.places = 0
        self.process: ReadingProcess | None = None
        self.held_to: tuple[object, ...] = ()


_idle = _Idle()


@contextmanager
def process_kept() -> Iterator[None]:
    """A block whose sandboxes leave a sound process to one another: each start costs a tenth of a second."""
    with _idle.lock:
        _idle.places += 1
    try:
        yield
    finally:
        with _idle.lock:
            _idle.places -= 1
            if not _idle.places and _idle.process is not None:
                _idle.process.end()
                _idle.process = None


def start(rules: ReadRules) -> ReadingProcess:
    """A process under these rules: the one that was left, or a new one."""
    with _idle.lock:
        left, _idle.process = _idle.process, None
    if left is not None:
        if left.process.poll() is None and _idle.held_to == rules.of_process:
            return left
        left.end()
    return ReadingProcess(rules)


def leave(process: ReadingProcess, rules: ReadRules) -> None:
    """Nobody asks this process any more: it waits for the next sandbox of ``process_kept``, or ends."""
    with _idle.lock:
        if _idle.places and _idle.process is None:
            _idle.process, _idle.held_to = process, rules.of_process
            return
    process.end()
