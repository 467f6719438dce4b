"""DICOM: which files of a tree are one series, and a series as a scan."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuprep.errors import InputError
from gpuprep.io.dicom_header import Membership, read_membership

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
    (anonymisers blank it) make one series per folder. A file that the disk does not give stays with the
    series beside it, which cannot be read without it.
    """
    return _grouped(_walk(Path(root), follow_symlinks=follow_symlinks))


def series_in(source: Path | str | Sequence[Path | str]) -> list[Series]:
    """The series among the given files, or directly in a folder."""
    if isinstance(source, Path | str):
        return series_of_folder(Path(source))[0]
    return _grouped(Path(path) for path in source)[0]


def series_of_folder(folder: Path) -> tuple[list[Series], list[tuple[str, str]]]:
    """As ``find_series``, for the files directly in a folder."""
    return _grouped(sorted(path for path in folder.iterdir() if path.is_file()))


def _walk(root: Path, *, follow_symlinks: bool) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, followlinks=follow_symlinks):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            junk = name in _JUNK or name.startswith("._")
            if not junk and (follow_symlinks or not path.is_symlink()):
                yield path


def _grouped(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[str, str]]]:
    members: dict[str, list[tuple[str, Membership]]] = {}
    others: list[tuple[str, str]] = []
    withheld: list[tuple[str, str]] = []
    for path in paths:
        try:
            member = _membership(path)
        except InputError as error:
            others.append((str(path), error.message))
        except OSError as error:
            withheld.append((str(path), f"the file cannot be read: {error.strerror}"))
        else:
            key = member.series or f"folder {path.parent}"
            members.setdefault(key, []).append((str(path), member))
    series = [_series(rows, withheld) for rows in members.values()]
    used = {file for one in series for file in one.files}
    others += [row for row in withheld if row[0] not in used]
    return sorted(series, key=lambda one: (one.folder, one.number, one.uid)), others


def _membership(path: Path) -> Membership:
    """What the header says, at the second go if the disk failed at the first."""
    try:
        return read_membership(path)
    except OSError:
        return read_membership(path)


def _series(rows: list[tuple[str, Membership]], withheld: list[tuple[str, str]]) -> Series:
    """One series, with what the disk withholds in its folders: without it, it might be a slice short."""
    rows.sort(key=lambda row: (row[1].number, row[0]))
    first = rows[0][1]
    folders = {Path(path).parent for path, _ in rows}
    beside = tuple(path for path, _ in withheld if Path(path).parent in folders)
    return Series(
        uid=first.series,
        study=first.study,
        modality=first.modality,
        description=first.description,
        number=first.series_number,
        folder=os.path.commonpath([str(Path(path).parent) for path, _ in rows]),
        files=tuple(path for path, _ in rows) + beside,
    )
