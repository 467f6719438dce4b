"""The list of a cohort's cases: read, added to, and made anew from the cases themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.ledger.hold import hold
from gpuprep.ledger.output import find_output
from gpuprep.store.files import append_line, json_line, write_file
from gpuprep.store.index import CaseIndex, index_of, read_index, stands_for, stands_for_bytes
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, INDEX_FILE, MANIFEST_FILE
from gpuprep.store.listing import Holding
from gpuprep.store.local import LocalPath
from gpuprep.store.places import Place, case_ids
from gpuprep.store.record import read_record
from gpuprep.values.errors import GpuprepError, StoreError


@dataclass(frozen=True, slots=True)
class Listed:
    """What ``manifest.jsonl`` says of a case."""

    digest: str = ""
    seen: str = ""
    """The stamp under which its source files were recognised at another place; empty otherwise."""
    held: Holding | None = None
    """Its channels and label values, so that a training need not open it; None in lines of older versions."""


class ListedCases(Mapping[str, Listed]):
    """What the list says of each case by id, and what was found since."""

    def __init__(self, index: CaseIndex) -> None:
        self.index = index
        self._found: dict[str, Listed] = {}
        self._ids = set(index.ids)

    def __getitem__(self, case_id: str) -> Listed:
        if case_id in self._found:
            return self._found[case_id]
        row = self.index.row(case_id)
        if row is None:
            raise KeyError(case_id)
        return Listed(str(row.get("digest")), str(row.get("seen", "")), Holding.of_row(row))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def not_under(self, digest: str) -> set[str]:
        """The cases that were made under another digest."""
        brief = {i for i, row in self.index.brief.items() if str(row.get("digest")) != digest}
        other = np.flatnonzero(self.index.texts("digest").each() != digest)
        return brief.union(self.index.texts("case").take(other).each().tolist())

    def note(self, case_id: str, listed: Listed) -> None:
        """Keep what was found of a case; nothing is written."""
        self._found[case_id] = listed
        self._ids.add(case_id)


def listed_cases(root: Path) -> ListedCases:
    """The list of cases; a later line replaces an earlier one."""
    return ListedCases(read_index(LocalPath(root)))


def write_index(root: Path, *, is_copy: bool = False) -> None:
    """Write the list as columns, where it has come to say more. A disk that refuses costs the file only.

    In a copy of what an object store has, the time of the manifest tells nothing.
    """
    with suppress(OSError, GpuprepError):
        file, stamp = root / INDEX_FILE, LocalPath(root / MANIFEST_FILE).stamp()
        if stamp is None:  # there is nothing to be faster than
            return
        packed, manifest = _bytes(file), _bytes(root / MANIFEST_FILE)
        stands = stands_for_bytes(packed, manifest) if is_copy else stands_for(packed, stamp)
        if not stands:
            index, time = index_of(manifest, packed), None if is_copy else stamp[1]
            write_file(file, [index.to_bytes(manifest, time)], fsync=True)


def _bytes(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""


def list_case(root: Path, case_id: str, listed: Listed) -> None:
    """Add a line.

    Raises:
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    append_line(root / MANIFEST_FILE, _row(case_id, listed))


def _row(case_id: str, listed: Listed) -> dict[str, Any]:
    row: dict[str, Any] = {"case": case_id, "digest": listed.digest}
    if listed.seen:
        row["seen"] = listed.seen
    return row if listed.held is None else {**row, **listed.held.to_row()}


def unlist_cases(root: Path, gone: Collection[str]) -> None:
    """Write the list anew without some cases."""
    left = {case: listed for case, listed in listed_cases(root).items() if case not in gone}
    lines = (json_line(_row(case, listed)) for case, listed in left.items())
    write_file(root / MANIFEST_FILE, lines, fsync=True)
    write_index(root)


def rebuild_manifest(output: str | Place) -> tuple[int, tuple[str, ...]]:
    """Write ``manifest.jsonl`` and ``index.npz`` from the records of the cases; nothing else is changed.

    Returns:
        The number of cases listed, and the ids of folders that are not whole cases.

    Raises:
        StoreError: this is no gpuprep output.
        UsageError: a run is working on it.
    """
    root = find_output(output)
    rows, broken = [], []
    with hold(output) as held:
        for case_id in sorted(case_ids(root)) if root.is_cohort() else ():
            try:
                folder = root / CASES_FOLDER / f"{case_id}{CASE_SUFFIX}"
                record = read_record(folder)
                holding = Holding.of_record(record, folder.version())
                rows.append(_row(case_id, Listed(str(record.get("digest")), held=holding)))
            except StoreError:
                broken.append(case_id)
        lines = (json_line(row) for row in rows)
        write_file(held.folder / MANIFEST_FILE, lines, fsync=True)
        write_index(held.folder, is_copy=held.remote is not None)
        held.seal_list()
    return len(rows), tuple(broken)
