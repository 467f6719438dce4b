"""Manifests: a CSV, TSV, JSON or JSON Lines file that lists the cohort, case by case.

Columns: ``case_id``, ``image`` (more channels as ``image_1`` or ``image_T2``), ``label`` (further label
maps as ``label_vessels``); every other column is an attribute of the case; ``spacing`` is also that of its
pictures, in mm along x, y[, z]. What a cell may name, ``cells.py`` says.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.cells import Cells
from gpuprep.cohort.layouts.dataset_json import read_json
from gpuprep.cohort.layouts.listing import list_tree
from gpuprep.cohort.layouts.naming import case_id, folder_name
from gpuprep.cohort.layouts.pictures import with_spacing
from gpuprep.cohort.layouts.tables import read_rows, read_text
from gpuprep.cohort.layouts.tree import Tree, Unmatched
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError

SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
_FILE_COLUMN = re.compile(r"(?P<kind>image|label)(?:_(?P<name>.+))?")
_MOST_ERRORS = 10

_Row = tuple[str, dict[str, Any]]  # where it stands, and its fields


def read_manifest(
    path: Path, lister: Callable[[Path], Tree] = list_tree
) -> tuple[list[Case], tuple[Unmatched, ...]]:
    """The cases of a manifest, in its order, and the files in folders of series that are in none.

    ``lister`` lists the folders.

    A case with a file that is missing is among them; reading it fails, and it alone.

    Raises:
        UsageError: up to ten faults at once, each with its line: an id that is empty or used twice, an
            unknown, empty or misspelt column, a cell too many; or every case lacks a file.
    """
    cells = Cells(path.parent, lister)
    cases: list[Case] = []
    lines: dict[str, str] = {}
    faults: list[str] = []
    lacking: list[str] = []
    for where, fields in _rows(path):
        try:
            found = _taken_apart(_case(fields, cells), cells)
            for case in found:
                if case.id in lines:
                    raise UsageError(f"case_id {case.id!r} is already used at {lines[case.id]}")
                lines[case.id] = where
            cases += found
            lacking += [f"{path.name}, {where}: {fault}" for fault in cells.missing[:1]]
        except UsageError as error:
            faults.append(f"{path.name}, {where}: {error}")
            if len(faults) == _MOST_ERRORS:
                break
    if faults:
        raise UsageError("\n".join(faults), advice=f"correct {path} and run again")
    if not cases:
        raise UsageError(f"{path} lists no case")
    if len(lacking) == len(cases):
        raise UsageError(
            "\n".join(lacking[:_MOST_ERRORS]),
            advice=f"every case lacks a file; relative paths start at {path.parent}",
        )
    return cases, tuple(cells.unmatched)


def _rows(path: Path) -> Iterator[_Row]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return _json_lines(path)
    return _json_rows(path) if suffix == ".json" else _table_rows(path)


def _table_rows(path: Path) -> Iterator[_Row]:
    rows = read_rows(path)
    _, columns = next(rows, (0, []))
    _check_columns(path, columns)
    for line, cells in rows:
        if len(cells) > len(columns):
            raise UsageError(
                f"{path.name}, line {line}: {len(cells)} cells, but the header has {len(columns)}"
            )
        yield f"line {line}", dict(zip(columns, cells, strict=False))


def _check_columns(path: Path, columns: list[str]) -> None:
    for position, column in enumerate(columns):
        if not column:
            raise UsageError(f"{path.name}, line 1: column {position + 1} has no name")
        if column in columns[:position]:
            raise UsageError(f"{path.name}, line 1: column {column!r} appears twice")
        _check_key(column, f"{path.name}, line 1: ")
    for wanted in ("case_id", "image"):
        if not any(column == wanted or column.startswith(f"{wanted}_") for column in columns):
            told = ", ".join(columns) or "none"
            raise UsageError(f"{path.name}, line 1: no column {wanted!r}; there are: {told}")


def _check_key(key: str, where: str = "") -> None:
    """Refuse a column that is nearly, but not quite, one of ours: it would become an attribute."""
    if key == "case_id" or _FILE_COLUMN.fullmatch(key):
        return
    plain = key.lower().replace(" ", "_")
    near = difflib.get_close_matches(plain, ("case_id", "image", "label"), n=1, cutoff=0.8)
    if near or plain in ("mask", "segmentation", "seg"):
        meant = near[0] if near else "label"
        raise UsageError(f"{where}unknown column {key!r}: did you mean {meant!r}?")


def _json_lines(path: Path) -> Iterator[_Row]:
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UsageError(f"{path.name}, line {number}: not JSON: {error}") from error
        yield _json_row(path, f"line {number}", fields)


def _json_rows(path: Path) -> Iterator[_Row]:
    content = read_json(path)
    entries = content.get("cases") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise UsageError(f"{path} must be a list of cases, or an object with a list 'cases'")
    for number, fields in enumerate(entries, start=1):
        yield _json_row(path, f"entry {number}", fields)


def _json_row(path: Path, where: str, fields: Any) -> _Row:
    if not isinstance(fields, dict):
        raise UsageError(f"{path.name}, {where}: must be an object, not {fields!r:.40}")
    return where, fields


def _case(fields: dict[str, Any], cells: Cells) -> Case:
    """The case of one row; UsageError says what is wrong with it."""
    cells.clear()
    identifier = str(fields.get("case_id") or "")
    if not identifier:
        raise UsageError("case_id is empty")
    images, labels, attributes = [], [], {}
    for key, content in fields.items():
        _check_key(key)
        column = _FILE_COLUMN.fullmatch(key)
        if column is None:
            attributes[key] = "" if content is None else str(content)
        elif column["kind"] == "image":
            name = column["name"] or ""
            images += cells.images(content, key, "" if name.isdecimal() else name)
        elif content:
            labels.append(cells.label(content, key, column["name"] or "segmentation"))
    if not images:
        raise UsageError("there is no image")
    if folder_name(identifier) != identifier:
        raise UsageError(
            f"case_id {identifier!r} cannot name a folder; {folder_name(identifier)!r} could"
        )
    attributes.pop("case_id", None)
    told = cells.channels if len(images) == 1 else ()
    channels = tuple(f"{images[0].name} {volume}".strip() for volume in told)
    case = Case(identifier, tuple(images), tuple(labels), attributes, channels)
    return with_spacing(case, fields.get("spacing"))


def _taken_apart(case: Case, cells: Cells) -> list[Case]:
    """The cases of a row: one, or one for each volume of the series that is its only image.

    A label is one for all volumes, which stay one case then.
    """
    if len(case.images) > 1 or case.labels or not cells.volumes:
        return [case]
    return [
        replace(
            case,
            id=folder_name(f"{case.id}_{case_id(each.id)}"),
            images=(replace(each.images[0], name=case.images[0].name),),
            attributes={"volume": each.attributes["volume"], **case.attributes},
        )
        for each in cells.volumes
    ]
