"""Which files of an output anybody may ask for, and opening them: allowed by name, and through no link.

Of a case, every file is served; beside the cases, what ``gpuprep.open`` needs. Logs, hidden entries, pruned
cases and those that were withdrawn do not exist here.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from gpuprep.service.chunks.conditions import Part
from gpuprep.service.chunks.contents import Content, Made, OpenFile, fetch_part, look_at
from gpuprep.store.facts import version_text
from gpuprep.store.files import CaseVersion, storage_faults
from gpuprep.store.index import read_index
from gpuprep.store.layout import (
    AGREEMENT_FILE,
    CASE_SUFFIX,
    CASES_FOLDER,
    CONFIG_FILE,
    GROUP_FILE,
    INDEX_FILE,
    MANIFEST_FILE,
    RECORD_FILE,
    WITHDRAWN_FILE,
    case_path,
)
from gpuprep.store.list_seal import sealed_versions
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, case_versions
from gpuprep.store.record import read_record
from gpuprep.store.standing import Standing, read_standing
from gpuprep.values.errors import CorruptStoreError, StoreError

LISTING = CASES_FOLDER
"""The path whose answer is JSON: the tag of each case's record, by id."""

_BESIDE = frozenset(
    {
        *(CONFIG_FILE, AGREEMENT_FILE, MANIFEST_FILE, INDEX_FILE, WITHDRAWN_FILE),
        *(GROUP_FILE, f"{CASES_FOLDER}/{GROUP_FILE}", LISTING),
    }
)
_IN_CASE = re.compile(rf"{CASES_FOLDER}/([^/]+){re.escape(CASE_SUFFIX)}/(.+)", re.DOTALL)
_PART = re.compile(r"[^./\\\0][^/\\\0]{0,254}")  # no hidden entry, and so neither . nor ..
_DEPTH = 12  # of a path
_LONGEST = 256 * _DEPTH
_OPEN = max(16, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 8, 1024))
_CASES = 1024  # whose seals are remembered
_TRIES = 3  # to open a file of a case that is being replaced
_IDLE = 60.0  # seconds an open file waits for the next request
_LOOK_AGAIN = 10  # seconds, for what was withdrawn from a store

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Name:
    """A path below an output that may be asked for; ``case`` is its case's id, empty beside the cases."""

    path: str
    case: str = ""
    inside: str = ""
    """The path below the case."""
    seal: str = ""
    """The path of the file by whose version this one is known: the case's record, or this itself."""


def parse_name(path: str) -> Name | None:
    """What a path names; None for what is not served, whatever lies there."""
    return _parsed(path) if len(path) <= _LONGEST else None


@lru_cache(1 << 14)
def _parsed(path: str) -> Name | None:
    if path in _BESIDE:
        return Name(path, seal=path)
    if path == f"{LISTING}/":
        return Name(LISTING, seal=LISTING)
    parts = path.split("/")
    found = _IN_CASE.fullmatch(path)
    if found is None or len(parts) > _DEPTH or not all(map(_PART.fullmatch, parts)):
        return None
    return Name(path, found[1], found[2], f"{case_path(found[1])}/{RECORD_FILE}")


class Remembered(OrderedDict[Any, Value]):
    """The values that were asked for last, so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: Any, value: Value) -> Value:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)
        return value


@dataclass(slots=True)
class _Opened:
    """A file, the version it was opened under, and when it was last asked for."""

    version: object
    file: OpenFile
    asked: float = 0.0


class Outputs:
    """Finds what is asked for in outputs, and keeps files open; for one event loop."""

    def __init__(self) -> None:
        self._opened: Remembered[_Opened] = Remembered(_OPEN)
        self._sweeps = False
        self._seals: Remembered[tuple[CaseVersion, Mapping[str, Any]]] = Remembered(_CASES)
        self._gone: Remembered[tuple[object, frozenset[str]]] = Remembered(_CASES)

    async def find(self, place: Place, name: Name, part: Part | None = None) -> Content | None:
        """What an output has under a name; None for nothing.

        Args:
            place: The output.
            name: What is asked for.
            part: The part of it that will be read, so that a store is asked once.

        Raises:
            StoreError: the disk or the store does not give it.
        """
        if name.path == LISTING:
            return await run_in_threadpool(_listing, place)
        if name.path == WITHDRAWN_FILE:
            return await run_in_threadpool(_standing, place)
        if name.case and name.case in await self._withdrawn(place):
            return None
        if isinstance(place, ObjectPath):
            path = place / name.path
            if part and (found := await run_in_threadpool(fetch_part, path, part)):
                return found
            return await run_in_threadpool(look_at, path)
        known = self._opened.get((place, name.path))
        if known is None or known.version != _version(place, name):
            known = await run_in_threadpool(self._open, place, name)
            if known is None:
                return None
        known.asked = monotonic()
        if not self._sweeps:
            self._sweeps = True
            asyncio.get_running_loop().call_later(_IDLE, self._close_idle)
        return self._opened.keep((place, name.path), known).file

    def _close_idle(self) -> None:
        """Close what nobody asked for of late: a file that was deleted takes room while it is open."""
        until = monotonic() - _IDLE
        while self._opened and next(iter(self._opened.values())).asked <= until:
            self._opened.popitem(last=False)
        self._sweeps = bool(self._opened)
        if self._sweeps:
            asyncio.get_running_loop().call_later(_IDLE, self._close_idle)

    async def _withdrawn(self, place: Place) -> frozenset[str]:
        """Ids of the cases that no input lists any more."""
        remote = isinstance(place, ObjectPath)
        version = int(monotonic() / _LOOK_AGAIN) if remote else _look(f"{place}/{WITHDRAWN_FILE}")
        if version is None:
            return frozenset()
        known = self._gone.get(place)
        if known is None or known[0] != version:
            standing = await run_in_threadpool(read_standing, place)
            known = self._gone.keep(place, (version, frozenset(standing.withdrawn)))
        return known[1]

    def _open(self, place: LocalPath, name: Name) -> _Opened | None:
        """Open a file, and see to it that its case did not give way to another meanwhile."""
        for _ in range(_TRIES):
            if (version := _version(place, name)) is None:
                return None
            try:
                file = OpenFile(place.open_inside(name.path), place / name.path)
            except CorruptStoreError:
                return None  # nothing is there, or no plain file, or the way to it is a link
            file.etag = self._tag(place, name, version, file.size) or file.etag
            if _version(place, name) == version:
                return _Opened(version, file)
        return None

    def _tag(self, place: LocalPath, name: Name, version: CaseVersion, size: int) -> str | None:
        """The tag of a file of a case by the checksum in its record; None where that has none of it.

        A file that has not the size that it should have is another one. The record itself has its size and
        time for a tag, by which the list of cases knows it.
        """
        if not name.case:
            return None
        if name.inside == RECORD_FILE:
            return tag_of_record(version)
        known = self._seals.get((place, name.case))
        if known is None or known[0] != version:
            try:
                seals = read_record(place / case_path(name.case), version=version)["files"]
            except StoreError:
                seals = {}  # damaged, as its reader will find, or replaced, as the caller will
            known = self._seals.keep((place, name.case), (version, seals))
        seal = known[1].get(name.inside, {"size": -1})
        return f'"{seal["crc32c"]:08x}-{size}"' if seal["size"] == size else None


def tag_of_record(version: CaseVersion) -> str:
    """The tag of a record; a store's own has its quotes."""
    return f'"{version_text(version)}"' if len(version) > 1 else str(version[0])


def _version(place: LocalPath, name: Name) -> CaseVersion | None:
    """Under which version a file is to be had: that of its case, or its own; None where there is none."""
    return _look(f"{place}/{name.seal}")


def _look(path: str) -> CaseVersion | None:
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        with storage_faults(path, what="read"):
            raise
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _listing(place: Place) -> Made | None:
    """The cases that may be read, each with the tag of its record; None where there is no cohort."""
    if not place.is_cohort():
        return None
    sealed = sealed_versions(place, read_index(place)) if isinstance(place, ObjectPath) else None
    with storage_faults(place, what="read"):
        cases = sorted((case_versions(place) if sealed is None else sealed).items())
    withdrawn = set(read_standing(place).withdrawn)
    told = {case: tag_of_record(version) for case, version in cases if case not in withdrawn}
    return Made(json.dumps({"cases": told}, ensure_ascii=False).encode())


def _standing(place: Place) -> Made | None:
    """``withdrawn.json`` without the cases that are not served."""
    outdated = read_standing(place).outdated
    return Made(json.dumps(Standing((), outdated).to_json()).encode()) if outdated else None
