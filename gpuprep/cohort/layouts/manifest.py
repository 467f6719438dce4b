"""Manifests: a CSV, TSV, JSON or JSON Lines file that lists the cohort, case by case.

Columns: ``case_id``, ``image`` (more channels as ``image_1`` or ``image_T2``), ``label`` (further label
maps as ``label_vessels``); every other column is an attribute of the case. Relative paths start at the
manifest. An image is a file or a folder with one DICOM series. A label is a file, or one file per structure:
a folder of them, or paths separated by ``;``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.dataset_json import read_json
from gpuprep.cohort.layouts.manifest_paths import Paths
from gpuprep.cohort.layouts.naming import case_id
from gpuprep.cohort.layouts.tables import read_rows, read_text
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError

SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
_FILE_COLUMN = re.compile(r"(?P<kind>image|label)(?:_(?P<name>.+))?")
_MOST_ERRORS = 10


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    fields: dict[str, Any]


def read_manifest(path: Path) -> list[Case]:
    """The cases of a manifest, in its order.

    Raises:
        UsageError: up to ten faults at once, each with its line: a missing file, an id that is empty or
            used twice, an unknown, empty or misspelt column, a cell too many.
    """
    paths = Paths(path.parent)
    cases: list[Case] = []
    lines: dict[str, str] = {}
    faults: list[str] = []
    for row in _rows(path):
        try:
            case = _case(row, paths)
            if case.id in lines:
                raise UsageError(f"case_id {case.id!r} is already used at {lines[case.id]}")
            lines[case.id] = row.where
            cases.append(case)
        except UsageError as error:
            faults.append(f"{path.name}, {row.where}: {error}")
            if len(faults) == _MOST_ERRORS:
                break
    if faults:
        raise UsageError("\n".join(faults), advice=f"correct {path} and run again")
    if not cases:
        raise UsageError(f"{path} lists no case")
    return cases


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
        yield _Row(f"line {line}", dict(zip(columns, cells, strict=False)))


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
    return _Row(where, fields)


def _case(row: _Row, paths: Paths) -> Case:
    """The case of one row; UsageError says what is wrong with it."""
    identifier = str(row.fields.get("case_id") or "")
    if not identifier:
        raise UsageError("case_id is empty")
    images, labels, attributes = [], [], {}
    for key, content in row.fields.items():
        _check_key(key)
        column = _FILE_COLUMN.fullmatch(key)
        if column is None:
            attributes[key] = "" if content is None else str(content)
        elif column["kind"] == "image":
            images += paths.images(content, key, _channel(column["name"]))
        elif content:
            labels.append(paths.label(content, key, column["name"] or "segmentation"))
    if not images:
        raise UsageError("there is no image")
    attributes.pop("case_id", None)
    return Case(_safe(identifier), tuple(images), tuple(labels), attributes)


def _channel(name: str | None) -> str:
    return "" if name is None or name.isdecimal() else name


def _safe(identifier: str) -> str:
    if case_id(identifier) != identifier:
        raise UsageError(
            f"case_id {identifier!r} cannot name a folder; {case_id(identifier)!r} could"
        )
    return identifier
