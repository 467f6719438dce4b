"""Manifests: a CSV, TSV, JSON or JSON Lines file that lists the cohort, case by case.

Columns: ``case_id``, ``image`` (more channels as ``image_1`` or ``image_T2``), ``label`` (further label
maps as ``label_vessels``); every other column is an attribute of the case; ``spacing`` is also that of its
pictures, in mm along x, y[, z]. Relative paths start at the manifest. An image is a file, or a folder with
one DICOM series or with a stack of pictures. A label is a file, or one file per structure: a folder of them,
or paths separated by ``;``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.dataset_json import read_json
from gpuprep.cohort.layouts.dicom import read_series
from gpuprep.cohort.layouts.folders import structure_label
from gpuprep.cohort.layouts.listing import list_tree
from gpuprep.cohort.layouts.naming import check_read_as_utf8, folder_name, stem_of
from gpuprep.cohort.layouts.pictures import stack_in, with_spacing
from gpuprep.cohort.layouts.tables import read_rows, read_text
from gpuprep.cohort.layouts.tree import Tree, Unmatched
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import TRANSIENT, UsageError

SUFFIXES = frozenset({".csv", ".tsv", ".json", ".jsonl"})
_FILE_COLUMN = re.compile(r"(?P<kind>image|label)(?:_(?P<name>.+))?")
_MOST_ERRORS = 10
_LISTED_FOLDERS = 4096

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
    paths = _Paths(path.parent, lister)
    cases: list[Case] = []
    lines: dict[str, str] = {}
    faults: list[str] = []
    lacking: list[str] = []
    for where, fields in _rows(path):
        try:
            case = _case(fields, paths)
            if case.id in lines:
                raise UsageError(f"case_id {case.id!r} is already used at {lines[case.id]}")
            lines[case.id] = where
            cases.append(case)
            lacking += [f"{path.name}, {where}: {fault}" for fault in paths.missing[:1]]
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
    return cases, tuple(paths.unmatched)


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


def _case(fields: dict[str, Any], paths: _Paths) -> Case:
    """The case of one row; UsageError says what is wrong with it."""
    paths.clear()
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
            images += paths.images(content, key, "" if name.isdecimal() else name)
        elif content:
            labels.append(paths.label(content, key, column["name"] or "segmentation"))
    if not images:
        raise UsageError("there is no image")
    if folder_name(identifier) != identifier:
        raise UsageError(
            f"case_id {identifier!r} cannot name a folder; {folder_name(identifier)!r} could"
        )
    attributes.pop("case_id", None)
    told = paths.volumes if len(images) == 1 else ()
    channels = tuple(f"{images[0].name} {volume}".strip() for volume in told)
    case = Case(identifier, tuple(images), tuple(labels), attributes, channels)
    return with_spacing(case, fields.get("spacing"))


class _Paths:
    """Resolves cells against the manifest's folder; a folder is listed once instead of many stats.

    ``missing`` tells of the paths that lead nowhere, ``volumes`` names those of the last series, if they are
    to be channels; until they are cleared.
    """

    def __init__(self, base: Path, lister: Callable[[Path], Tree]) -> None:
        self.missing: list[str] = []
        self.volumes: tuple[str, ...] = ()
        self.unmatched: list[Unmatched] = []
        self._base = base
        self._list = lister
        self._entries = lru_cache(maxsize=_LISTED_FOLDERS)(_entries)

    def clear(self) -> None:
        """Begin another row."""
        self.missing.clear()
        self.volumes = ()

    def images(self, cell: Any, column: str, name: str) -> list[Source]:
        """The channels of one cell: a path, or in JSON also a list of paths or an object by name.

        Raises:
            UsageError: the cell is empty, or a path leads to a folder that is not one DICOM series.
        """
        if isinstance(cell, dict):
            return [self._image(path, column, str(key)) for key, path in cell.items()]
        if isinstance(cell, list):
            return [self._image(path, column, name) for path in cell]
        return [self._image(cell, column, name)]

    def label(self, cell: Any, column: str, name: str) -> LabelSource:
        """The label map of one cell: a file, a folder of structures, or several paths.

        Raises:
            UsageError: a folder holds no volume file.
        """
        paths = cell if isinstance(cell, list) else str(cell).split(";")
        paths = [str(path).strip() for path in paths if str(path).strip()]
        if len(paths) != 1:
            found = [self._resolved(path, column) for path in paths]
            return structure_label(_structures(found), name=folder_name(name))
        path = self._resolved(paths[0], column)
        if not self._is_folder(path):
            return LabelSource((Source(path),), folder_name(name))
        tree = self._list(Path(path))
        if stack := stack_in(tree):
            return LabelSource((stack,), folder_name(name))
        files = [tree.path(file) for file in tree.folders.get("", ())]
        if not files and tree.holds_dicom:
            return LabelSource((self._series_or_object(tree, path, column),), folder_name(name))
        if not files:
            raise UsageError(f"{column} {path} is a folder without volume files")
        return structure_label(_structures(files), name=folder_name(name))

    def _image(self, cell: Any, column: str, name: str) -> Source:
        if not isinstance(cell, str) or not cell:
            raise UsageError(f"{column} is empty" if not cell else f"{column} is no path: {cell!r}")
        path = self._resolved(cell, column)
        if not self._is_folder(path):
            return Source(path, name=name)
        tree = self._list(Path(path))
        if stack := stack_in(tree):
            return replace(stack, name=name)
        cases, rest = read_series(tree)
        self.unmatched += [Unmatched(tree.path(file), reason) for file, reason in rest]
        if len(cases) != 1:
            told = (
                "; ".join(case.attributes.get("description", "?") for case in cases[:4]) or "none"
            )
            raise UsageError(
                f"{column} {path} holds {len(cases)} DICOM series ({told}), one is needed"
            )
        self.volumes = cases[0].channels
        return replace(cases[0].images[0], name=name)

    def _series_or_object(self, tree: Tree, path: str, column: str) -> Source:
        """The one series of masks in a folder, or the one file there that tells of structures."""
        cases, rest = read_series(tree)
        if len(cases) == 1:
            return cases[0].images[0]
        if not cases and len(rest) == 1:
            return Source(tree.path(rest[0][0]))
        raise UsageError(
            f"{column} {path} holds {len(cases)} DICOM series and {len(rest)} other files, where one "
            "label is needed"
        )

    def _resolved(self, cell: str, column: str) -> str:
        if "\0" in cell:
            raise UsageError(f"{column} is no path: {cell!r}")
        path = os.path.normpath(self._base / cell)
        check_read_as_utf8(path)
        folder, name = os.path.split(path)
        if name not in self._entries(folder):
            self.missing.append(f"{column} {path} does not exist")
        return path

    def _is_folder(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return self._entries(folder).get(name, False)


def _entries(folder: str) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except OSError as error:
        if error.errno in TRANSIENT:
            raise
        return {}


def _structures(files: list[str]) -> tuple[Source, ...]:
    return tuple(Source(file, name=stem_of(file)) for file in files)
