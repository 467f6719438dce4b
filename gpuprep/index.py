"""The list of a cohort's cases, made anew from the cases themselves."""

from __future__ import annotations

from pathlib import Path

from gpuprep.errors import StoreError
from gpuprep.output import lock
from gpuprep.store.files import json_line, write_file
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, CONFIG_FILE, MANIFEST_FILE
from gpuprep.store.record import read_record


def rebuild_manifest(output: Path | str) -> tuple[int, tuple[str, ...]]:
    """Write ``manifest.jsonl`` from the records of the cases; nothing else is changed.

    Returns:
        The number of cases listed, and the ids of folders that are not whole cases.

    Raises:
        StoreError: the folder is no gpuprep output.
        UsageError: a run is working on it.
    """
    root = Path(output).resolve()
    if not (root / CONFIG_FILE).is_file():
        raise StoreError(f"{root} is no gpuprep output: {CONFIG_FILE} is missing")
    rows, broken = [], []
    with lock(root):
        for folder in sorted((root / CASES_FOLDER).glob(f"*{CASE_SUFFIX}")):
            case_id = folder.name.removesuffix(CASE_SUFFIX)
            try:
                rows.append({"case": case_id, "digest": read_record(folder).get("digest")})
            except StoreError:
                broken.append(case_id)
        lines = (json_line(row) for row in rows)
        write_file(root / MANIFEST_FILE, lines, fsync=True)
    return len(rows), tuple(broken)
