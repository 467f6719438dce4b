"""Which input lists which cases of an output, and which cases have left: no input lists them any more."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from gpuprep.cohort.layouts.dataset_json import FILE_NAME
from gpuprep.ledger.index import ListedCases
from gpuprep.ledger.output import read_json, write_json
from gpuprep.store.files import storage_faults
from gpuprep.store.layout import INPUTS_FILE, WITHDRAWN_FILE, case_path
from gpuprep.store.local import LocalPath
from gpuprep.store.places import Place
from gpuprep.store.record import read_record
from gpuprep.store.standing import Standing, read_standing
from gpuprep.values.case import natural_key
from gpuprep.values.errors import CorruptStoreError, StoreError

_UNKNOWN = ""  # cases that an older version made from a manifest

Lists = dict[str, set[str]]


def input_name(source: Path) -> str:
    """What an input is called in an output: its absolute path; links stay as they were given."""
    path = Path(os.path.abspath(source))  # noqa: PTH100
    return str(path.parent if path.name == FILE_NAME else path)


def enroll(
    root: Path, cases_at: Place, source: str, ids: Iterable[str], listed: Collection[str]
) -> tuple[str, ...]:
    """Note that an input now lists these cases, and no others.

    Args:
        root: Where the run works.
        cases_at: Where its cases are published.
        source: The input, by ``input_name``.
        ids: All cases of the input, whether or not this run does them.
        listed: The cases of the manifest.

    Returns:
        The ids of stored cases that no input lists any more.

    Raises:
        StoreError: the disk refuses.
        RunStopped: the disk is full.
    """
    now, lists, before = set(ids), lists_of(LocalPath(root)), standing_of(root)
    known = set(before.withdrawn).union(*lists.values())
    strangers = set(listed) - known - now
    for case_id in strangers:
        lists.setdefault(_origin(cases_at, case_id, source), set()).add(case_id)
    known |= strangers
    kept = {name: cases for name, cases in lists.items() if not _is_over(name, cases, source, now)}
    kept[source] = now
    gone = known.difference(*kept.values())
    with storage_faults(root):
        stored = (case for case in gone if (cases_at / case_path(case)).version() is not None)
        withdrawn = tuple(sorted(stored, key=natural_key))
        write_standing(root, Standing(withdrawn, before.outdated))
        rows = {name: sorted(cases) for name, cases in kept.items()}
        write_json(root / INPUTS_FILE, {"inputs": rows})
    return withdrawn


def lists_of(output: Place) -> Lists:
    """The ids that each input of an output lists, by ``input_name``; empty where that is not known."""
    with suppress(CorruptStoreError, AttributeError, TypeError):
        if (output / INPUTS_FILE).is_file():
            rows: Mapping[str, list[str]] = read_json(output / INPUTS_FILE).get("inputs", {})
            return {name: set(listed) for name, listed in rows.items()}
    return {}


def listed_elsewhere(output: Place, source: str) -> set[str]:
    """The ids that other inputs list."""
    return set().union(*(ids for name, ids in lists_of(output).items() if name != source))


def outdated_cases(listed: ListedCases, digest: str, withdrawn: Iterable[str]) -> tuple[str, ...]:
    """The cases of a list that were made under another digest, those that were withdrawn left out."""
    made = listed.not_under(digest)
    return tuple(sorted(made.difference(withdrawn), key=natural_key))


def write_standing(root: Path, standing: Standing) -> None:
    """Keep ``withdrawn.json`` in step; there is none where all is well."""
    if standing == Standing():
        if (root / WITHDRAWN_FILE).exists():
            (root / WITHDRAWN_FILE).unlink()
    elif standing != standing_of(root):
        write_json(root / WITHDRAWN_FILE, standing.to_json())


def standing_of(root: Path) -> Standing:
    """What ``withdrawn.json`` says in a folder; nothing where it is damaged."""
    with suppress(CorruptStoreError):
        return read_standing(LocalPath(root))
    return Standing()


def _is_over(name: str, listed: set[str], source: str, now: set[str]) -> bool:
    """Whether another input has come to be part of this one, or was moved here: its own path is gone."""
    if name in (_UNKNOWN, source) or Path(name).exists():
        return False
    return Path(source) in Path(name).parents or 2 * len(listed & now) >= len(listed)


def _origin(cases_at: Place, case_id: str, source: str) -> str:
    """The input that a stored case came from, by its record."""
    try:
        record = read_record(cases_at / case_path(case_id))
    except (CorruptStoreError, StoreError):
        return _UNKNOWN
    if told := record.get("input"):
        return str(told)
    files = [Path(row["path"]) for row in record.get("source", [])]
    return source if files and all(Path(source) in file.parents for file in files) else _UNKNOWN
