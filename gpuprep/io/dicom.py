"""DICOM: which files of a tree are one series, and a series as a scan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.errors import InputError
from gpuprep.io.dicom_header import read_identity

_JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one series, wherever they lie, by instance number; ``folder`` is common to all."""

    uid: str
    study: str
    modality: str
    description: str
    number: int
    folder: str
    files: tuple[str, ...]


def find_series(
    root: Path | str, *, follow_symlinks: bool = False
) -> tuple[list[Series], list[tuple[str, str]]]:
    """Every image series under a folder, and the files that are no DICOM image with the reason.

    Only headers are read. Series are sorted by folder, then by number. Files without a series UID
    (anonymisers blank it) make one series per folder.
    """
    return _grouped(_walk(Path(root), follow_symlinks=follow_symlinks))


def series_in(source: Path | str | Sequence[Path | str]) -> list[Series]:
    """The series among the given files, or directly in a folder."""
    if isinstance(source, Path | str):
        return _grouped(sorted(path for path in Path(source).iterdir() if path.is_file()))[0]
    return _grouped(Path(path) for path in source)[0]


def _walk(root: Path, *, follow_symlinks: bool) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, followlinks=follow_symlinks):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            junk = name in _JUNK or name.startswith("._")
            if not junk and (follow_symlinks or not path.is_symlink()):
                yield path


def _grouped(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[str, str]]]:
    members: dict[str, list[tuple[int, str, Any]]] = {}
    others: list[tuple[str, str]] = []
    for path in paths:
        try:
            header = read_identity(path)
            number = int(header.get("InstanceNumber") or 0)
        except InputError as error:
            others.append((str(path), error.message))
            continue
        except ValueError:
            number = 0
        key = str(header.get("SeriesInstanceUID") or "") or f"folder {path.parent}"
        members.setdefault(key, []).append((number, str(path), header))
    series = [_series(key, rows) for key, rows in members.items()]
    return sorted(series, key=lambda one: (one.folder, one.number, one.uid)), others


def _series(key: str, rows: list[tuple[int, str, Any]]) -> Series:
    rows.sort(key=lambda row: row[:2])
    header = rows[0][2]
    number = str(header.get("SeriesNumber") or "")
    return Series(
        uid="" if key.startswith("folder ") else key,
        study=str(header.get("StudyInstanceUID") or ""),
        modality=str(header.get("Modality") or ""),
        description=str(header.get("SeriesDescription") or ""),
        number=int(number) if number.lstrip("-").isdigit() else 0,
        folder=os.path.commonpath([str(Path(path).parent) for _, path, _ in rows]),
        files=tuple(path for _, path, _ in rows),
    )
