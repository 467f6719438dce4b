"""The list of a cohort's cases: read, added to, and made anew from the cases themselves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.ledger.hold import hold
from gpuprep.ledger.output import find_output
from gpuprep.store.files import append_line, json_line, write_file
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, MANIFEST_FILE
from gpuprep.store.listing import Holding
from gpuprep.store.places import Place, case_ids, read_lines
from gpuprep.store.record import read_record
from gpuprep.values.errors import StoreError


@dataclass(frozen=True, slots=True)
class Listed:
    """What ``manifest.jsonl`` says of a case."""

    digest: str = ""
    seen: str = ""
    """The stamp under which its source files were recognised at another place; empty otherwise."""
    held: Holding | None = None
    """Its channels and label values, so that a training need not open it; None in lines of older versions."""


def listed_cases(root: Path) -> dict[str, Listed]:
    """The list of cases; a later line replaces an earlier one."""
    rows = read_lines(root / MANIFEST_FILE)
    return {
        str(row["case"]): Listed(
            str(row.get("digest")), str(row.get("seen", "")), Holding.of_row(row)
        )
        for row in rows
        if "case" in row
    }


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


def rebuild_manifest(output: str | Place) -> tuple[int, tuple[str, ...]]:
    """Write ``manifest.jsonl`` from the records of the cases; nothing else is changed.

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
                record = read_record(root / CASES_FOLDER / f"{case_id}{CASE_SUFFIX}")
                holding = Holding.of_record(record)
                rows.append(_row(case_id, Listed(str(record.get("digest")), held=holding)))
            except StoreError:
                broken.append(case_id)
        lines = (json_line(row) for row in rows)
        write_file(held.folder / MANIFEST_FILE, lines, fsync=True)
    return len(rows), tuple(broken)
