"""DICOM: which files of a tree are one series, and a series as a scan."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.io.dicom.header import Membership, is_other_object, read_membership
from gpuprep.values.errors import TRANSIENT, InputError

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

    Only headers are read. Series are sorted by folder, then by number. Equal UIDs in two studies are two
    series (some anonymisers give all files one UID); files without a UID (others blank it) are one
    series per folder. A file that the disk does not give stays with the series beside it, which cannot be
    read without it.
    """
    return _grouped(_walk(Path(root), follow_symlinks=follow_symlinks))


def series_in(source: Path | str | Sequence[Path | str]) -> list[Series]:
    """The series among the given files, or directly in a folder.

    A file that is no DICOM, but is called as the slices of the one series beside it are, is taken for one
    of them, so that reading the series names it: left out, it might shorten the volume in silence.
    """
    if isinstance(source, Path | str):
        series, others = series_of_folder(Path(source))
    else:
        series, others = _grouped(Path(path) for path in source)
    homes = Counter(folder for one in series for folder in _folders(one))
    beside: dict[Path, list[tuple[str, str]]] = {}
    for file, reason in others:
        beside.setdefault(Path(file).parent, []).append((file, reason))
    whole = []
    for one in series:
        alone = sorted(folder for folder in _folders(one) if homes[folder] == 1)
        lost = [file for folder in alone for file in lost_slices([one], beside.get(folder, []))]
        whole.append(replace(one, files=(*one.files, *lost)))
    return whole


def lost_slices(series: Sequence[Series], others: Sequence[tuple[str, str]]) -> list[str]:
    """Which of the other files of a folder are no DICOM, though called as slices of its series are.

    A slice at either end that was cut off in its header leaves no gap, and often has no extension.
    """
    names = {_pattern(file) for one in series for file in one.files}
    if not names:
        return []
    return [
        file
        for file, _ in others
        if (file.lower().endswith(".dcm") or _pattern(file) in names)
        and not is_other_object(Path(file))
    ]


def _folders(series: Series) -> set[Path]:
    return {Path(file).parent for file in series.files}


def _pattern(file: str) -> str:
    """The name of a file, every number in it a #."""
    return re.sub(r"\d+", "#", Path(file).name)


def series_of_folder(folder: Path) -> tuple[list[Series], list[tuple[str, str]]]:
    """As ``find_series``, for the files directly in a folder."""
    files = (path for path in folder.iterdir() if not _is_junk(path.name) and path.is_file())
    return _grouped(sorted(files))


def _is_junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")


def _walk(root: Path, *, follow_symlinks: bool) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, followlinks=follow_symlinks):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if not _is_junk(name) and (follow_symlinks or not path.is_symlink()):
                yield path


def _grouped(paths: Iterable[Path]) -> tuple[list[Series], list[tuple[str, str]]]:
    members: dict[tuple[str, str], list[tuple[str, Membership]]] = {}
    others: list[tuple[str, str]] = []
    withheld: list[tuple[str, str]] = []
    for path in paths:
        try:
            member = _membership(path)
        except InputError as error:
            others.append((str(path), error.message))
        except OSError as error:
            row = (str(path), f"the file cannot be read: {error.strerror}")
            (withheld if error.errno in TRANSIENT else others).append(row)
        else:
            key = (member.study, member.series or f"folder {path.parent}")
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
