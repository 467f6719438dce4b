"""Reading in a disposable process, so that a file can harm no more than its own case.

Medical image readers are native code that some files crash, hang or blow up. A ``Sandbox`` keeps one
child process for them: it starts with the first read, is replaced when it dies, overstays its deadline or
has served long enough, and is gone when its parent is. Importing this module loads no image library.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.process import ReadingProcess, leave, start
from gpuprep.io.sandbox.shared_voxels import is_spilled, map_voxels
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


class Sandbox:
    """Reads sources as ``reader.read`` and ``reader.peek`` do, in a child process under ``rules``.

    One request at a time: calls from several threads wait for each other. Use it as a context manager,
    or call ``close``.
    """

    def __init__(self, rules: ReadRules | None = None, *, recycle_after: int = 200) -> None:
        self.rules = rules or ReadRules()
        self._recycle_after = recycle_after
        self._lock = threading.Lock()
        self._child: ReadingProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that reads at present, if one was started."""
        return self._child.process.pid if self._child else None

    def follow(self, rules: ReadRules) -> None:
        """Read under other rules from now on; the child stays if it is held to the same."""
        with self._lock:
            if rules.of_process != self.rules.of_process:
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
            with self._lock:
                self._end_child()  # who could still cut the file that we are about to map
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
        """Let go of the child; a later read starts a new one."""
        with self._lock:
            if self._child is not None:
                leave(self._child, self.rules)
                self._child = None

    def _ask(self, operation: str, sources: Sequence[Source]) -> tuple[dict[str, Any], list[int]]:
        source = sources[0]  # which errors name: only headers are asked for several at once
        with self._lock:
            child = self._living_child()
            deadline = time.monotonic() + self.rules.timeout_seconds
            try:
                asked = [each.to_json() for each in sources]
                request = {"operation": operation, "sources": asked, "rules": self.rules.to_json()}
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

    def _living_child(self) -> ReadingProcess:
        if self._child is not None and self._child.process.poll() is not None:
            self._end_child()  # it died between two requests, which is no file's fault
        if self._child is None:
            self._child = start(self.rules)
        return self._child

    def _death(self, child: ReadingProcess, source: Source) -> ReaderCrash:
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
