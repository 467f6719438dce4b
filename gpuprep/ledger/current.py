"""Which cases are there already: whole, from the same config and statistics, and the same source files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from gpuprep.ledger.sources import compare
from gpuprep.store.facts import Line, source_stamp
from gpuprep.store.files import CaseVersion
from gpuprep.store.index import CaseIndex
from gpuprep.store.layout import case_path
from gpuprep.store.listing import Holding
from gpuprep.store.places import Place
from gpuprep.store.record import read_record
from gpuprep.store.sighting import Sightings
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError, StoreError

Cause = Literal["", "stored", "config", "source"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What an output holds of a case: its record if it need not be done again, else why it must be."""

    record: dict[str, Any] | None = None
    cause: Cause = ""
    """What differs: its stored files, config or statistics, or its source files."""
    change: str = ""
    """The same in words; of a case that need not be done again, which attributes the record has otherwise."""
    version: CaseVersion | None = None
    """Which record that is."""
    stamp: str = ""
    """Of source files that lie elsewhere or are of another time, and are the same by their sums."""


def stored_case(root: Place, case: Case, digest: str, seen: str = "", config: str = "") -> Stored:
    """Look a case up. ``seen`` is the stamp under which its files were recognised before.

    ``digest`` names config and statistics of the cohort, ``config`` the config alone.
    """
    folder = root / case_path(case.id)
    try:
        record = read_record(folder)
        version = folder.version()
        sizes = folder.sizes(record["files"])
    except (CorruptStoreError, StoreError, OSError):
        return Stored(None, "stored", "what is stored of it is damaged or not whole")
    if sizes != {name: seal["size"] for name, seal in record["files"].items()}:
        return Stored(None, "stored", "what is stored of it is damaged or not whole")
    if record.get("digest") != digest:
        text = "it was made with another config or other statistics of the cohort"
        if config and record.get("config_digest") == config:
            text = "statistics of the cohort are others by now (run.statistics: keep leaves them)"
        return Stored(None, "config", text)
    found = compare(record.get("source", []), case, seen)
    if found.change:
        return Stored(None, "source", found.change)
    change = _differing(record.get("attributes", {}), case.attributes)
    return Stored(record, change=change, version=version, stamp=found.stamp)


class Recognition:
    """Tells the cases that are done by their lines in the list, as far as a look does not contradict it.

    The case must have the record that the line was made from, by size and time or etag, and all its files in
    their sizes; the source files must have the roles, paths, sizes and times of then. No file is read.
    Where a sealed list is taken at its word, the case must only be there.

    Attributes:
        by_list: How many cases were told by that word.
    """

    def __init__(
        self,
        root: Place,
        index: CaseIndex,
        digest: str,
        *,
        asked: int,
        there: Collection[str] | None = None,
    ) -> None:
        """Take the list of a cohort.

        Args:
            root: Where it lies.
            index: Its list.
            digest: What cases are to be made with.
            asked: How many cases are to be looked up at most.
            there: The cases that are there, if the list is sealed and to be taken at its word; None: look.
        """
        self._sightings = Sightings(root, asked=asked, objects=index.files)
        self._index, self._digest, self._there = index, digest, there
        self.by_list = 0

    def knows(self, case: Case) -> bool:
        """Whether a case is done, and nothing is to be told of it; if not, ``stored_case`` says why."""
        told, place = self._index.columns, self._index.places.get(case.id)
        if place is None or told["digest"][place] != self._digest:
            return False
        if told["attributes"][place] != case.attributes:
            return False
        try:
            if not self._is_whole(case.id, place):
                return False
            known: bool = told["source"][place] == source_stamp(_source_lines(case))
        except (OSError, StoreError):
            return False
        self.by_list += known and self._there is not None
        return known

    def _is_whole(self, case_id: str, place: int) -> bool:
        if self._there is not None:
            return case_id in self._there
        told = self._index.columns
        record, names, sizes = (told[name][place] for name in ("record", "files", "sizes"))
        return self._sightings.is_as(case_id, record, names, sizes)


def holding_of(found: Stored, case: Case) -> Holding | None:
    """What the list is to say of a case that need not be done again, by its record.

    Files that were recognised at another place are listed as they are now, unless the reader reads more files
    than the input names: those are looked at by ``stored_case`` each time.
    """
    record = found.record or {}
    held = Holding.of_record(record, found.version)
    if not found.stamp or held is None or held.facts is None:
        return held
    if len(record["source"]) != len(set(case.files)):
        return held
    with suppress(OSError):
        now = source_stamp(_source_lines(case))
        return replace(held, facts=replace(held.facts, source=now))
    return held


def _source_lines(case: Case) -> Iterator[Line]:
    for files, role in case.roles.items():
        for file in files:
            seen = os.stat(file)  # noqa: PTH116
            yield role, file, seen.st_size, seen.st_mtime_ns


def _differing(stored: Mapping[str, str], told: Mapping[str, str]) -> str:
    names = sorted(name for name in {*stored, *told} if stored.get(name) != told.get(name))
    return ", ".join(f"{name} {stored.get(name)!r} → {told.get(name)!r}" for name in names)
