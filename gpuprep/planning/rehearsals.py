"""The headers of many cases at once: a reading process per core, results in the order of the cases."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from gpuprep.config.model import Config
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox, Told
from gpuprep.io.scan import Preview
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.projection import Projection, check_memory
from gpuprep.preprocess.rehearsal import rehearse, sources_of
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import CaseError
from gpuprep.values.events import CaseFailed

_PER_READER = 200  # cases that take longer than a process to start
_AT_ONCE = 4096  # cases that are begun before the first of them is handed on
_PER_REQUEST = 64  # files that a reading process is asked for at once

Rehearsed = Projection | CaseFailed


def rehearse_all(
    cases: Sequence[Case],
    config: Config,
    agreement: Agreement,
    rules: ReadRules,
    *,
    on_case: Callable[[], None] = lambda: None,
    warm: Sandbox | None = None,
) -> Iterator[Rehearsed]:
    """What each case will need and give, or why it will be refused, in the order of the cases.

    Args:
        on_case: Is told whenever a case is through, from any thread.
        warm: A reading process to take as the first; it is left for the next time.
    """
    memory = available_memory()
    number = max(1, min(available_cores(), len(cases) // _PER_READER))
    readers = _Readers(rules, warm)

    def one(case: Case, peek: Callable[[Source], Preview]) -> Rehearsed:
        try:
            found = rehearse(case, config, agreement, peek)
            check_memory(case.id, found.least_bytes, memory)
            return replace(found, source=replace(found.source), output=replace(found.output))
        except (CaseError, OSError) as error:
            return explain(CaseTask(case, "", ""), error)
        finally:
            on_case()

    def some(batch: Sequence[Case]) -> list[Rehearsed]:
        peek = _peeked(batch, config, readers.own())
        return [one(case, peek) for case in batch]

    try:
        yield from _in_order(some, _batches(cases), number)
    finally:
        readers.close()


def _batches(cases: Sequence[Case]) -> Iterator[list[Case]]:
    """The cases in their order, as many together as one request takes."""
    batch: list[Case] = []
    files = 0
    for case in cases:
        batch.append(case)
        files += len(case.files)
        if files >= _PER_REQUEST:
            yield batch
            batch, files = [], 0
    if batch:
        yield batch


def _in_order(
    some: Callable[[Sequence[Case]], list[Rehearsed]], batches: Iterator[list[Case]], number: int
) -> Iterator[Rehearsed]:
    """What comes of all batches, by so many threads; what nobody waits for any more is not begun."""
    begun: deque[tuple[int, Future[list[Rehearsed]]]] = deque()
    ahead = 0
    pool = ThreadPoolExecutor(number, thread_name_prefix="gpuprep-plan")
    try:
        for batch in batches:
            begun.append((len(batch), pool.submit(some, batch)))
            ahead += len(batch)
            while ahead >= _AT_ONCE:
                length, first = begun.popleft()
                ahead -= length
                yield from first.result()
        while begun:
            yield from begun.popleft()[1].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _peeked(batch: Sequence[Case], config: Config, reader: Sandbox) -> Callable[[Source], Preview]:
    """``peek`` for the sources of some cases, which are asked for here, all at once."""
    wanted = list(dict.fromkeys(each for case in batch for each in sources_of(case, config)))
    told: dict[Source, Told] = dict(zip(wanted, reader.peek_all(wanted), strict=True))

    def peek(source: Source) -> Preview:
        found = told[source]
        if isinstance(found, Exception):
            raise found
        return found

    return peek


class _Readers:
    """A reading process for each thread that asks."""

    def __init__(self, rules: ReadRules, warm: Sandbox | None) -> None:
        self._rules = rules
        self._warm = [warm] if warm is not None else []
        self._local = threading.local()
        self._all: list[Sandbox] = []

    def own(self) -> Sandbox:
        """The process of this thread."""
        reader: Sandbox | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._another()
        return reader

    def _another(self) -> Sandbox:
        with suppress(IndexError):  # another thread has it
            reader = self._warm.pop()
            reader.follow(self._rules)
            return reader
        reader = Sandbox(self._rules)
        self._all.append(reader)
        return reader

    def close(self) -> None:
        for reader in self._all:
            reader.close()
