"""The files that a manifest's cells point at, checked for being there."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.dicom import read_series
from gpuprep.cohort.layouts.folders import structure_label
from gpuprep.cohort.layouts.listing import list_tree
from gpuprep.cohort.layouts.naming import case_id, stem_of
from gpuprep.values.case import LabelSource, Source
from gpuprep.values.errors import TRANSIENT, UsageError

_LISTED_FOLDERS = 4096


class Paths:
    """Resolves cells against the manifest's folder; a folder is listed once instead of many stats."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._entries = lru_cache(maxsize=_LISTED_FOLDERS)(_entries)

    def images(self, cell: Any, column: str, name: str) -> list[Source]:
        """The channels of one cell: a path, or in JSON also a list of paths or an object by name.

        Raises:
            UsageError: the cell is empty or a path leads nowhere or to several DICOM series.
        """
        if isinstance(cell, dict):
            return [self._image(path, column, str(key)) for key, path in cell.items()]
        if isinstance(cell, list):
            return [self._image(path, column, name) for path in cell]
        return [self._image(cell, column, name)]

    def label(self, cell: Any, column: str, name: str) -> LabelSource:
        """The label map of one cell: a file, a folder of structures, or several paths.

        Raises:
            UsageError: a path leads nowhere, or a folder holds no volume file.
        """
        paths = cell if isinstance(cell, list) else str(cell).split(";")
        paths = [str(path).strip() for path in paths if str(path).strip()]
        if len(paths) != 1:
            found = [self._existing(path, column) for path in paths]
            return structure_label(_structures(found), name=case_id(name))
        path = self._existing(paths[0], column)
        if not self._is_folder(path):
            return LabelSource((Source(path),), case_id(name))
        tree = list_tree(Path(path))
        files = [tree.path(file) for file in tree.folders.get("", ())]
        if not files:
            raise UsageError(f"{column} {path} is a folder without volume files")
        return structure_label(_structures(files), name=case_id(name))

    def _image(self, cell: Any, column: str, name: str) -> Source:
        if not isinstance(cell, str) or not cell:
            raise UsageError(f"{column} is empty" if not cell else f"{column} is no path: {cell!r}")
        path = self._existing(cell, column)
        if not self._is_folder(path):
            return Source(path, name=name)
        cases, _ = read_series(list_tree(Path(path)))
        if len(cases) != 1:
            told = (
                "; ".join(case.attributes.get("description", "?") for case in cases[:4]) or "none"
            )
            raise UsageError(
                f"{column} {path} holds {len(cases)} DICOM series ({told}), one is needed"
            )
        return replace(cases[0].images[0], name=name)

    def _existing(self, cell: str, column: str) -> str:
        path = os.path.normpath(self._base / cell)
        folder, name = os.path.split(path)
        if name not in self._entries(folder):
            raise UsageError(f"{column} {path} does not exist")
        return path

    def _is_folder(self, path: str) -> bool:
        folder, name = os.path.split(path)
        return self._entries(folder)[name]


def _entries(folder: str) -> dict[str, bool]:
    """The names in a folder, and whether each is a folder; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries}
    except ValueError:  # a NUL in the path
        return {}
    except OSError as error:
        if error.errno in TRANSIENT:
            raise
        return {}


def _structures(files: list[str]) -> tuple[Source, ...]:
    return tuple(Source(file, name=stem_of(file)) for file in files)
