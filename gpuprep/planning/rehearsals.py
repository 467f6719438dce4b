"""The headers of many cases at once: a reading process per core, results in the order of the cases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from gpuprep.config.model import Config
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.projection import Projection, check_memory
from gpuprep.preprocess.rehearsal import rehearse
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import CaseError
from gpuprep.values.events import CaseFailed

_PER_READER = 200  # cases that take longer than a process to start
_AT_ONCE = 4096  # cases that are begun before the first of them is handed on

Rehearsed = Projection | CaseFailed


def rehearse_all(
    cases: Sequence[Case],
    config: Config,
    agreement: Agreement,
    rules: ReadRules,
    *,
    on_case: Callable[[], None] = lambda: None,
) -> Iterator[Rehearsed]:
    """What each case will need and give, or why it will be refused, in the order of the cases.

    Args:
        on_case: Is told whenever a case is through, from any thread.
    """
    memory = available_memory()
    number = max(1, min(available_cores(), len(cases) // _PER_READER))
    readers = _Readers(rules)

    def one(case: Case) -> Rehearsed:
        try:
            found = rehearse(case, config, agreement, readers.own().peek)
            check_memory(case.id, found.least_bytes, memory)
            return replace(found, source=replace(found.source), output=replace(found.output))
        except (CaseError, OSError) as error:
            return explain(CaseTask(case, "", ""), error)
        finally:
            on_case()

    try:
        with ThreadPoolExecutor(number, thread_name_prefix="gpuprep-plan") as pool:
            for start in range(0, len(cases), _AT_ONCE):
                yield from pool.map(one, cases[start : start + _AT_ONCE])
    finally:
        readers.close()


class _Readers:
    """A reading process for each thread that asks."""

    def __init__(self, rules: ReadRules) -> None:
        self._rules = rules
        self._local = threading.local()
        self._all: list[Sandbox] = []

    def own(self) -> Sandbox:
        """The process of this thread."""
        reader: Sandbox | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = Sandbox(self._rules)
            self._all.append(reader)
        return reader

    def close(self) -> None:
        for reader in self._all:
            reader.close()
