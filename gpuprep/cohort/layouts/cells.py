"""What the cells of a manifest name: paths, and what lies there.

An image is a file, or a folder with one DICOM series or with a stack of pictures. A label is a file, or one
file per structure: a folder of them, or paths separated by ``;``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gpuprep.cohort.layouts.dicom import read_series
from gpuprep.cohort.layouts.folders import structure_label
from gpuprep.cohort.layouts.naming import (
    check_read_as_utf8,
    folder_name,
    looks_like_dicom,
    stem_of,
)
from gpuprep.cohort.layouts.pictures import stack_in
from gpuprep.cohort.layouts.tree import Tree, Unmatched, has_dicom_magic
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import TRANSIENT, UsageError

_LISTED_FOLDERS = 4096


class Cells:
    """Resolves cells against the manifest's folder; a folder is listed once instead of many stats.

    ``missing`` tells of the paths that lead nowhere. Of the volumes of the last series, ``channels`` has the
    names, if they are to be channels, and ``volumes`` a case each, if they are to be cases. All three are of
    one row, until they are cleared.
    """

    def __init__(self, base: Path, lister: Callable[[Path], Tree]) -> None:
        self.missing: list[str] = []
        self.channels: tuple[str, ...] = ()
        self.volumes: tuple[Case, ...] = ()
        self.unmatched: list[Unmatched] = []
        self._base = base
        self._list = lister
        self._entries = lru_cache(maxsize=_LISTED_FOLDERS)(_entries)

    def clear(self) -> None:
        """Begin another row."""
        self.missing.clear()
        self.channels, self.volumes = (), ()

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
            self.volumes = self._volumes_in(path)
            return Source(path, name=name)
        tree = self._list(Path(path))
        if stack := stack_in(tree):
            return replace(stack, name=name)
        series, rest = read_series(tree)
        self.unmatched += [Unmatched(tree.path(file), reason) for file, reason in rest]
        if len(series) != 1:
            told = [one.case.attributes.get("description", "?") for one in series[:4]]
            raise UsageError(
                f"{column} {path} holds {len(series)} DICOM series ({'; '.join(told) or 'none'}), "
                "one is needed"
            )
        self.channels, self.volumes = series[0].case.channels, series[0].volumes
        return replace(series[0].case.images[0], name=name)

    def _volumes_in(self, path: str) -> tuple[Case, ...]:
        """The volumes of a DICOM file, if they are to be cases."""
        folder, name = os.path.split(path)
        if not (looks_like_dicom(name) and has_dicom_magic(path)):
            return ()
        asked = self._list(Path(path))  # which no folder is: how series are to be read
        if asked.several_volumes != "cases":
            return ()
        series, _ = read_series(replace(asked, root=Path(folder), files=(name,), refused=()))
        return series[0].volumes if len(series) == 1 else ()

    def _series_or_object(self, tree: Tree, path: str, column: str) -> Source:
        """The one series of masks in a folder, or the one file there that tells of structures."""
        series, rest = read_series(tree)
        if len(series) == 1:
            return series[0].case.images[0]
        if not series and len(rest) == 1:
            return Source(tree.path(rest[0][0]))
        raise UsageError(
            f"{column} {path} holds {len(series)} DICOM series and {len(rest)} other files, where one "
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
