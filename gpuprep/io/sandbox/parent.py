"""Reading in a disposable process, so that a file can harm no more than its own case.

Medical image readers are native code that some files crash, hang or blow up. A ``Sandbox`` keeps one
child process for them: it starts with the first read, is replaced when it dies, overstays its deadline or
has served long enough, and is gone when its parent is. Importing this module loads no image library.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from gpuprep.host.scratch import nameless_file
from gpuprep.host.signals import signals_blocked
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.environment import bare_environment
from gpuprep.io.sandbox.shared_voxels import is_spilled, map_voxels
from gpuprep.io.sandbox.wire import Wire
from gpuprep.io.scan import Preview, Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import (
    CaseError,
    InputError,
    InternalError,
    MemoryShortage,
    ReaderCrash,
)

Told = Preview | CaseError | OSError
"""What headers promise, or why they cannot be used."""

_START_SECONDS = 120.0
_GROWN = 128 << 20  # bytes that a process may take more than after its first headers


class Sandbox:
    """Reads sources as ``reader.read`` and ``reader.peek`` do, in a child process under ``rules``.

    One request at a time: calls from several threads wait for each other. Use it as a context manager,
    or call ``close``.
    """

    def __init__(self, rules: ReadRules | None = None, *, recycle_after: int = 200) -> None:
        self.rules = rules or ReadRules()
        self._recycle_after = recycle_after
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that reads at present, if one was started."""
        return self._child.process.pid if self._child else None

    def follow(self, rules: ReadRules) -> None:
        """Read under other rules from now on; with other roots alone, the child stays."""
        with self._lock:
            if replace(rules, roots=self.rules.roots) != self.rules:
                self._end_child()
            self.rules = rules

    def get_ready(self) -> None:
        """Have a child that waits; the next read then need not start one."""
        with self._lock:
            self._living_child()

    def read(self, source: Source) -> Scan:
        """All voxels of a source; they lie in memory shared with nobody else by then.

        Raises:
            InputError: as ``reader.read``.
            ReaderCrash: the child died or passed the deadline on this source.
            MemoryShortage: the voxels do not fit the memory that the rules allow.
            OSError: the file system failed, not the file.
        """
        answer, descriptors = self._ask("read", (source,))
        geometry = answer["geometry"]
        shape = (answer["channels"], *geometry["shape"])
        in_memory = self.rules.in_memory_bytes
        if is_spilled(os.fstat(descriptors[0]).st_size, in_memory):
            self.close()  # who could still cut the file that we are about to map
        voxels = map_voxels(descriptors[0], shape, answer["dtype"], in_memory)
        return Scan.from_json(answer, voxels)

    def peek(self, source: Source) -> Preview:
        """What the headers of a source promise; raises as ``read`` does."""
        (told,) = self._peek_together((source,))
        if isinstance(told, Exception):
            raise told
        return told

    def peek_all(self, sources: Sequence[Source]) -> list[Told]:
        """What ``peek`` gives or raises for each source, of all in one request.

        A source that the child dies of, or hangs on, takes nothing from the others: each is asked for alone.
        """
        try:
            return self._peek_together(sources)
        except CaseError:
            return [self._peek_alone(source) for source in sources]

    def _peek_together(self, sources: Sequence[Source]) -> list[Told]:
        rows = self._ask("peek", sources)[0]["told"]
        return [_told(row, source) for row, source in zip(rows, sources, strict=True)]

    def _peek_alone(self, source: Source) -> Told:
        try:
            return self.peek(source)
        except (CaseError, OSError) as error:
            return error

    def headers(self, files: Sequence[str]) -> list[list[Any]]:
        """What the headers of DICOM files tell of their series, as ``membership.to_row`` has it.

        Raises:
            ReaderCrash: the child died or passed the deadline on one of them.
        """
        source = Source(files[0], tuple(files))
        return list(self._ask("headers", (source,))[0]["rows"])

    def close(self) -> None:
        """End the child; a later read starts a new one."""
        with self._lock:
            self._end_child()

    def _ask(self, operation: str, sources: Sequence[Source]) -> tuple[dict[str, Any], list[int]]:
        source = sources[0]  # which errors name: only headers are asked for several at once
        with self._lock:
            child = self._living_child()
            deadline = time.monotonic() + self.rules.timeout_seconds
            try:
                asked = [_asked(each) for each in sources]
                request = {"operation": operation, "sources": asked, "roots": self.rules.roots}
                child.wire.send(request, deadline=deadline)
                reply, descriptors = child.wire.receive(deadline)
            except TimeoutError:
                self._end_child()
                raise ReaderCrash(
                    f"reading exceeded {self.rules.timeout_seconds:g} s and was stopped",
                    path=source.path,
                    advice="Look at the file and the disk, or raise input.limits.seconds.",
                ) from None
            except (EOFError, OSError, ValueError):
                raise self._death(child, source) from None
            except BaseException:  # interrupted halfway: the answer would meet the next question
                self._end_child()
                raise
            if child.is_worn(operation, len(sources), self._recycle_after):
                self._end_child()
        if "error" in reply:
            raise _error(reply["error"], source)
        return reply["answer"], descriptors

    def _living_child(self) -> _Child:
        if self._child is not None and self._child.process.poll() is not None:
            self._end_child()  # it died between two requests, which is no file's fault
        if self._child is None:
            self._child = _Child(self.rules)
        return self._child

    def _death(self, child: _Child, source: Source) -> ReaderCrash:
        reason, tail = child.last_words()
        self._end_child()
        return ReaderCrash(
            f"the reader {reason} on this file" + (f"; it said: {tail}" if tail else ""),
            path=source.path,
            advice="Leave the file out, or convert it with another tool.",
        )

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
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


def _asked(source: Source) -> dict[str, Any]:
    told = {"path": source.path, "files": source.files, "name": source.name}
    return {**told, "volume": source.volume}


def _told(row: Mapping[str, Any], source: Source) -> Told:
    return _error(row["error"], source) if "error" in row else Preview.from_json(row["answer"])


def _error(fields: Mapping[str, Any], source: Source) -> CaseError | OSError:
    """The child's error as the same error here."""
    kind, message = fields["kind"], str(fields["message"])
    if kind == "input":
        return InputError(fields["code"], message, path=fields["path"], advice=fields["advice"])
    if kind == "memory":
        return MemoryShortage(message, advice="Raise input.limits.bytes, or leave the file out.")
    if kind == "os":
        return OSError(fields["errno"], f"cannot be read: {message}", fields["path"])
    return InternalError(
        f"reading {source.path} failed: {message}",
        advice="this is a fault in gpuprep; run again with -v and report the traceback",
        details=str(fields["trace"]),
    )
