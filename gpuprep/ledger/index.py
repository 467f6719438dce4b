"""The list of a cohort's cases, made anew from the cases themselves."""

from __future__ import annotations

from gpuprep.ledger.hold import hold
from gpuprep.ledger.output import find_output
from gpuprep.store.files import json_line, write_file
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, MANIFEST_FILE
from gpuprep.store.places import Place, case_ids
from gpuprep.store.record import read_record
from gpuprep.values.errors import StoreError


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
                rows.append({"case": case_id, "digest": record.get("digest")})
            except StoreError:
                broken.append(case_id)
        lines = (json_line(row) for row in rows)
        write_file(held.folder / MANIFEST_FILE, lines, fsync=True)
    return len(rows), tuple(broken)
