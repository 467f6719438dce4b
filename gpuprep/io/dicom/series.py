"""DICOM: which files are one series."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.dicom.membership import Membership, NoImage
from gpuprep.io.dicom.sisters import sisters_of
from gpuprep.io.dicom.volumes import HIDDEN, Part, Seen, volumes_among
from gpuprep.values.case import Sister
from gpuprep.values.errors import TRANSIENT

_JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class SeriesVolume:
    """One of several volumes of a series: ``whole`` where its files hold nothing of another one.

    ``sister`` is told of one that has fewer slices than another.
    """

    name: str
    files: tuple[str, ...]
    whole: bool
    sister: Sister | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one series, wherever they lie, by instance number; ``folder`` is common to all."""

    uid: str
    modality: str
    description: str
    number: int
    folder: str
    files: tuple[str, ...]
    no_volume: str = ""
    """What it holds in place of a volume: a localizer, a secondary capture, a single slice; else empty."""
    volumes: tuple[SeriesVolume, ...] = ()
    """Those that it holds, where it was asked for and there are several."""
    study: str = ""


def series_in(files: Iterable[Path | str]) -> list[Series]:
    """The series among files, as ``sort_out`` finds them."""
    return sort_out(files)[0]


def sort_out(
    files: Iterable[Path | str], headers: KnownHeaders | None = None, *, volumes: bool = False
) -> tuple[list[Series], dict[str, NoImage]]:
    """The series among files, whichever folders they lie in, and why every other file is in none.

    Series are by folder, then by number. With ``volumes`` each tells the volumes that it holds, if several.

    Only headers are read, and only those that ``headers`` does not know; whole ones of files with many frames
    where ``volumes`` are asked for.

    Equal UIDs in two studies are two series (some anonymisers give all files one UID); files without a UID
    (others blank it) are one series per folder. A file that the disk does not give stays with the series
    beside it, which cannot be read without it.

    A file that is no DICOM, but is called as the slices of the one series beside it are, is taken for one
    of them, so that reading the series names it: left out, it might shorten the volume in silence.
    """
    series, others = _grouped(map(str, files), headers, volumes=volumes)
    homes = Counter(folder for one in series for folder in _folders(one))
    beside: dict[Path, dict[str, NoImage]] = {}
    for file, told in others.items():
        beside.setdefault(Path(file).parent, {})[file] = told
    whole = []
    for one in series:
        alone = sorted(folder for folder in _folders(one) if homes[folder] == 1)
        lost = [file for folder in alone for file in lost_slices([one], beside.get(folder, {}))]
        whole.append(_with(one, lost))
        for file in lost:
            del others[file]
    return whole, others


def _with(one: Series, lost: Sequence[str]) -> Series:
    """A series with files that reading it, or any volume of it, shall trip over."""
    if not lost:
        return one
    volumes = tuple(replace(each, files=(*each.files, *lost)) for each in one.volumes)
    return replace(one, files=(*one.files, *lost), volumes=volumes)


def lost_slices(series: Sequence[Series], others: Mapping[str, NoImage]) -> list[str]:
    """Which of the other files of a folder are no DICOM, though called as slices of its series are.

    A slice at either end that was cut off in its header leaves no gap, and often has no extension.
    """
    if not others:  # of a series in many folders, the names would be looked at for each of them
        return []
    names = {_pattern(file) for one in series for file in one.files}
    if not names:
        return []
    return [
        file
        for file, told in others.items()
        if (file.lower().endswith(".dcm") or _pattern(file) in names) and not told.other_object
    ]


def _folders(series: Series) -> set[Path]:
    return {Path(folder) for folder in {os.path.dirname(file) for file in series.files}}  # noqa: PTH120


def _pattern(file: str) -> str:
    """The name of a file, every number in it a #."""
    return re.sub(r"\d+", "#", os.path.basename(file))  # noqa: PTH119  of millions


def series_of_folder(folder: Path) -> tuple[list[Series], dict[str, NoImage]]:
    """The series of the files directly in a folder, and the files that are in none of them."""
    files = (path for path in folder.iterdir() if not _is_junk(path.name) and path.is_file())
    return _grouped(map(str, sorted(files)))


def _is_junk(name: str) -> bool:
    return name in _JUNK or name.startswith("._")


def _grouped(
    paths: Iterable[str], headers: KnownHeaders | None = None, *, volumes: bool = False
) -> tuple[list[Series], dict[str, NoImage]]:
    members: dict[tuple[str, str], list[tuple[str, Membership]]] = {}
    others: dict[str, NoImage] = {}
    withheld: dict[str, NoImage] = {}
    headers = headers or KnownHeaders()
    for path, header in headers.read(paths):
        if isinstance(header, OSError):
            told = NoImage(f"the file cannot be read: {header.strerror}")
            (withheld if header.errno in TRANSIENT else others)[path] = told
        elif isinstance(header, NoImage):
            others[path] = header
        else:
            key = (header.study, header.series or f"folder {Path(path).parent}")
            members.setdefault(key, []).append((path, header))
    known = headers if volumes else None
    series = [_series(rows, list(withheld), known) for rows in members.values()]
    used = {file for one in series for file in one.files}
    others |= {file: told for file, told in withheld.items() if file not in used}
    return sorted(series, key=lambda one: (one.folder, one.number, one.uid)), others


def _series(
    rows: list[tuple[str, Membership]], withheld: list[str], known: KnownHeaders | None
) -> Series:
    """One series, with what the disk withholds in its folders: without it, it might be a slice short.

    Its volumes are told where ``known`` is given.
    """
    rows.sort(key=lambda row: (row[1].number, row[0]))
    one = rows[0][1]
    folders = {Path(folder) for folder in {os.path.dirname(file) for file, _ in rows}}  # noqa: PTH120
    folder = os.path.commonpath([str(folder) for folder in folders])
    beside = [file for file in withheld if Path(file).parent in folders]
    told = one.series, one.modality, one.description, one.series_number
    files = tuple(file for file, _ in rows)
    held = () if known is None else _volumes(rows, known)
    no_volume = _no_volume([member for _, member in rows])
    return _with(Series(*told, folder, files, no_volume, held, one.study), beside)


def _volumes(
    rows: Sequence[tuple[str, Membership]], known: KnownHeaders
) -> tuple[SeriesVolume, ...]:
    """The volumes of a series; none where it holds one alone, or a header cannot be read.

    Whole headers are read of files with many frames, and where a vendor's own b-values may tell slices at one
    place apart.
    """
    crowded = len({member.position for _, member in rows}) < len(rows)
    hidden = crowded and any(HIDDEN in member.settings for _, member in rows)
    files, parts, sisters = _parts(rows, known, whole=hidden)
    if len(parts) < 2:
        return ()
    held = [tuple(dict.fromkeys(files[member] for member in part.members)) for part in parts]
    shared = sum(map(len, held)) > len(set(files))
    whole = tuple(dict.fromkeys(files))
    return tuple(
        SeriesVolume(part.name, whole if shared else own, not shared, sister)
        for part, own, sister in zip(parts, held, sisters, strict=True)
    )


def _parts(
    rows: Sequence[tuple[str, Membership]], known: KnownHeaders, *, whole: bool
) -> tuple[list[str], list[Part], list[Sister | None]]:
    """The volumes with their sisters, and of each slice the file; no volume where a header cannot be read."""
    from gpuprep.io.dicom.telling import seen_in_header, seen_whole  # they load pydicom

    asked = [
        file for file, member in rows if member.frames > 1 or whole or not member.position
    ]  # an enhanced file may hold one frame
    told = dict(zip(asked, known.frames(rows[0][1].series, asked, seen_whole), strict=True))
    seen: list[Seen] = []
    files: list[str] = []
    for file, member in rows:
        found = told[file] if file in told else [seen_in_header(member)]
        if not found:
            return [], [], []
        seen += found
        files += [file] * len(found)
    parts = volumes_among(seen)
    return files, parts, sisters_of(seen, parts)


def _no_volume(members: Sequence[Membership]) -> str:
    kinds = {member.kind for member in members}
    if len(kinds) == 1 and "" not in kinds:
        return kinds.pop()
    lone = len(members) == members[0].frames == 1 and not members[0].mosaic
    return "single slice" if lone else ""
