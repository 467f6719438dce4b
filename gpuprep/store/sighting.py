"""Whether cases lie where they did, with all their files in their sizes, as far as a look tells."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import google_crc32c

from gpuprep.store.facts import version_text
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, RECORD_FILE, case_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place

_LISTED = 1000  # objects that a store tells of with one request

Sight = tuple[str, int]
"""The version of a case's record, empty without one, and a sum of names and sizes of its other files."""


class Sightings:
    """Looks at the cases of one cohort: one by one, or in an object store all at once where that is less."""

    def __init__(self, root: Place, *, asked: int, objects: int) -> None:
        """Name a cohort.

        Args:
            root: Where it lies.
            asked: How many of its cases may be asked for.
            objects: How many files all its cases have.
        """
        self._root = root
        self._at_once = asked * _LISTED >= objects
        self._all: Mapping[str, Sight] | None = None

    def is_as(self, case_id: str, record: str, names: Sequence[str], sizes: Sequence[int]) -> bool:
        """Whether a case has this record (``version_text``) and these files.

        Raises:
            OSError: a file is absent, or the disk refuses.
            StoreError: the store refuses.
            UsageError: the id is no safe name.
        """
        name = case_path(case_id)
        if not isinstance(self._root, ObjectPath):
            folder = f"{self._root}/{name}"
            seen = os.stat(f"{folder}/{RECORD_FILE}", follow_symlinks=False)  # noqa: PTH116
            if version_text((seen.st_size, seen.st_mtime_ns)) != record:
                return False
            found = [os.stat(f"{folder}/{name}").st_size for name in names]  # noqa: PTH116
            return found == list(sizes)
        told = sight_of(record, names, sizes)
        if not self._at_once:
            return sights(self._root / name).get("") == told
        if self._all is None:
            self._all = sights(self._root / CASES_FOLDER)
        return self._all.get(case_id) == told


def sight_of(record: str, names: Sequence[str], sizes: Sequence[int]) -> Sight:
    """The sight of a case with this record and these other files."""
    return record, _sum_of(zip(names, sizes, strict=True))


def sights(place: ObjectPath) -> dict[str, Sight]:
    """What one listing tells of the case at a place, under an empty name, or of all cases below it, by id."""
    one = place.name.endswith(CASE_SUFFIX)
    rows = ((("", name) if one else _cut(name), size, etag) for name, size, etag in place.objects())
    found: dict[str, Sight] = {}
    for case, files in groupby(rows, lambda row: row[0][0]):  # a store lists keys in order
        record, rest = "", []
        for (_, name), size, etag in files:
            if name == RECORD_FILE:
                record = version_text((etag,))
            else:
                rest.append((name, size))
        if one or case.endswith(CASE_SUFFIX):
            found[case.removesuffix(CASE_SUFFIX)] = record, _sum_of(rest)
    return found


def _cut(name: str) -> tuple[str, str]:
    case, _, rest = name.partition("/")
    return case, rest


def _sum_of(files: Iterable[tuple[str, int]]) -> int:
    text = "".join(f"{name}\0{size}\n" for name, size in sorted(files))
    return int(google_crc32c.value(text.encode()))
