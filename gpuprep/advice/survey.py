"""Every case of an input looked at: by headers alone, or with its voxels, a reading process per core."""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.advice.facts import CohortFacts
from gpuprep.advice.look import Extra, Look, glance, look
from gpuprep.advice.spread import Spread, put_away, spread_of
from gpuprep.cohort.discover import Found, choose, discover
from gpuprep.config.model import Config
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.nnunet.mixture import CountedChannel
from gpuprep.planning.agreement import named, settle
from gpuprep.planning.rehearsals import rehearse_all
from gpuprep.preprocess.assemble import assemble
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import CaseError, UsageError
from gpuprep.values.events import CaseFailed
from gpuprep.values.findings import Findings

Tick = Callable[[int], None]
_AHEAD = 4  # cases per thread that are begun before the first of them is handed on


def survey(
    source: Path,
    config: Config,
    *,
    limit: int | None = None,
    headers_only: bool = False,
    extra: Extra | None = None,
    on_extra: Callable[[dict[str, Any]], None] = lambda _: None,
    on_case: Tick = lambda _: None,
) -> CohortFacts:
    """Look at the cases of an input.

    Args:
        source: As for a run.
        config: Its ``input`` and ``label``, and the orientation.
        limit: Only the first so many cases.
        headers_only: Read no voxel.
        extra: Asked of every case whose voxels are in memory.
        on_extra: Told the answers, in the order of the cases.
        on_case: Told the number of cases whenever one is through, from any thread.

    Raises:
        UsageError: the input cannot be used at all, or no case of it can be read.
    """
    rule = config.input
    found = discover(
        source,
        layout=rule.layout,
        follow_symlinks=rule.follow_symlinks,
        series=rule.series,
        several_volumes=rule.several_volumes,
        structures=rule.structure_rules,
    )
    found = replace(found, cases=choose(named(found.cases, config), limit=limit))
    if not found.cases:
        raise UsageError(f"no case in {source}", advice="gpuprep plan shows what was found")
    agreement = settle(found, None, config)
    with tempfile.TemporaryDirectory(prefix="gpuprep-suggest-") as scratch:
        looks = (
            _glances(found, config, agreement, on_case)
            if headers_only
            else _looks(found, config, agreement, extra, on_case, scratch)
        )
        cases, refused, counted = [], [], _Counted(Path(scratch))
        for each in looks:
            if isinstance(each, CaseFailed):
                refused.append(each)
                continue
            cases.append(each.facts)
            counted.add(each)
            if each.extra is not None:
                on_extra(each.extra)
        spreads = counted.spreads
    if not cases:
        raise UsageError(
            f"none of {len(refused)} cases can be read; {refused[0].case_id}: {refused[0].message}",
            advice=refused[0].advice,
        )
    return CohortFacts(
        str(source),
        found.layout,
        tuple(cases),
        tuple(refused),
        len(found.unmatched),
        replace(agreement, channels=agreement.channels or cases[0].channels),
        spreads,
        counted.words,
        not headers_only,
    )


class _Counted:
    """The foregrounds of cases: labelled voxels if any case has a label map, those of the body otherwise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labelled = False
        self._cases: dict[tuple[bool, str], list[CountedChannel]] = {}
        self._number = itertools.count()

    def add(self, seen: Look) -> None:
        labelled = seen.facts.labelled
        self._labelled |= labelled
        for name, case in seen.foregrounds.items():
            kept = put_away(case, self._folder / str(next(self._number)))
            self._cases.setdefault((labelled, name), []).append(kept)

    @property
    def words(self) -> str:
        return "labelled voxels" if self._labelled else "voxels in the box of the body"

    @property
    def spreads(self) -> dict[str, Spread]:
        found = {
            name: spread_of(cases)
            for (labelled, name), cases in self._cases.items()
            if labelled == self._labelled
        }
        return {name: spread for name, spread in found.items() if spread is not None}


def _glances(
    found: Found, config: Config, agreement: Agreement, on_case: Tick
) -> Iterator[Look | CaseFailed]:
    rules, number = ReadRules.of(config, root=found.root), len(found.cases)
    rehearsed = rehearse_all(found.cases, config, agreement, rules, on_case=lambda: on_case(number))
    for case, each in zip(found.cases, rehearsed, strict=True):
        if isinstance(each, CaseFailed):
            yield each
        else:
            yield Look(glance(case, each, config, agreement))


def _looks(
    found: Found,
    config: Config,
    agreement: Agreement,
    extra: Extra | None,
    on_case: Tick,
    scratch: str,
) -> Iterator[Look | CaseFailed]:
    threads = max(1, min(available_cores(), len(found.cases)))
    memory = available_memory() // threads
    readers = _Readers(ReadRules.of(config, root=found.root, memory=memory, scratch=scratch))

    def one(case: Case) -> Look | CaseFailed:
        findings = Findings(config.input.policy)
        try:
            read = readers.own().read
            assembled = assemble(case, config, read, findings, agreement=agreement)
            seen = look(case, assembled, config, agreement, findings)
            asked = extra(case, assembled, agreement) if extra else None
            return replace(seen, extra=asked)
        except (CaseError, OSError) as error:
            return explain(CaseTask(case, "", ""), error)
        finally:
            on_case(len(found.cases))

    try:
        yield from _in_order(one, found.cases, threads)
    finally:
        readers.close()


def _in_order(
    one: Callable[[Case], Look | CaseFailed], cases: Sequence[Case], threads: int
) -> Iterator[Look | CaseFailed]:
    begun: deque[Future[Look | CaseFailed]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="gpuprep-suggest")
    try:
        for case in cases:
            begun.append(pool.submit(one, case))
            if len(begun) >= _AHEAD * threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


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
