"""The files under a root, listed in natural order, and what a layout makes of them: cases, and reasons."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from gpuprep.cohort.layouts.groups import Group, group_folder
from gpuprep.cohort.layouts.naming import (
    DICOM_NAME,
    HEADERS_OF_VOXELS,
    UNSUFFIXED,
    VOLUME_SUFFIXES,
    VOXELS_OF_HEADER,
    check_read_as_utf8,
    join,
    split_path,
    split_suffix,
)
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.placeholders import is_annex_link
from gpuprep.values.case import Case, LabelSource, Source, natural_sorted
from gpuprep.values.errors import TRANSIENT

_SNIFFED_PER_FOLDER = 4
_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A file that belongs to no case; ``reason`` is one sentence a user can act on."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Tree:
    """The files under ``root``, folder by folder in natural order, and those refused with a reason."""

    root: Path
    files: tuple[str, ...]
    refused: tuple[Unmatched, ...] = ()
    follow_symlinks: bool = False
    volumes_only: bool = False
    """Whether DICOM series that are no volumes are left out."""
    headers: KnownHeaders = field(default_factory=KnownHeaders)
    """What is known of DICOM headers without reading them."""

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def volumes(self) -> tuple[str, ...]:
        """Files of a known volume format, DICOM apart; an ``.hdr`` counts only with its ``.img``."""
        return tuple(file for file in self.files if self.is_volume(file))

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The names of the volume files in each folder that has any."""
        folders: dict[str, list[str]] = {}
        for file in self.volumes:
            folder, name = split_path(file)
            folders.setdefault(folder, []).append(name)
        return folders

    @cached_property
    def groups(self) -> dict[str, list[Group]]:
        """The volume files of each folder that has any, brought together by their names."""
        return {folder: group_folder(folder, names) for folder, names in self.folders.items()}

    @cached_property
    def holds_dicom(self) -> bool:
        """Whether some file is DICOM by its name, or by its first bytes where the name tells nothing."""
        sniffed: dict[str, int] = {}
        for file in self.files:
            folder, name = split_path(file)
            if DICOM_NAME.fullmatch(name):
                return True
            if not UNSUFFIXED.fullmatch(name) or sniffed.get(folder, 0) >= _SNIFFED_PER_FOLDER:
                continue
            sniffed[folder] = sniffed.get(folder, 0) + 1
            if has_dicom_magic(self.path(file)):
                return True
        return False

    @cached_property
    def _start(self) -> str:
        return os.path.join(self.root, "")  # noqa: PTH118

    def path(self, file: str) -> str:
        """The absolute path of a file of the tree (an absolute one is returned as it is)."""
        return (
            file if file.startswith("/") else self._start + file
        )  # a Path costs seconds per million

    def source(self, file: str, name: str = "") -> Source:
        """An image file of the tree, as the channel of that name."""
        return Source(self.path(file), name=name)

    def label(self, file: str, name: str = "segmentation") -> LabelSource:
        """A label map that is one file of the tree."""
        return LabelSource((self.source(file),), name)

    def relative(self, path: str) -> str:
        """The inverse of ``path``; a path outside the root stays absolute."""
        return path.removeprefix(self._start)

    def is_detached_voxels(self, file: str) -> bool:
        """Whether the file holds the voxels of a header of the same name beside it."""
        stem, suffix = split_suffix(file)
        headers = HEADERS_OF_VOXELS.get(suffix, ())
        return any(stem + header in self.known for header in headers)

    def is_volume(self, file: str) -> bool:
        """Whether a file of the tree is of a known volume format, with its voxels beside it."""
        stem, suffix = split_suffix(file)
        voxels = VOXELS_OF_HEADER.get(suffix)
        return suffix in VOLUME_SUFFIXES and (voxels is None or stem + voxels in self.known)


def has_dicom_magic(path: str) -> bool:
    """Whether the file has DICOM's ``DICM`` after its 128-byte preamble."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def list_tree(
    root: Path,
    *,
    follow_symlinks: bool = False,
    volumes_only: bool = False,
    headers: KnownHeaders | None = None,
) -> Tree:
    """List every file under ``root`` once; hidden files and the litter of desktops are ignored.

    Links to files inside the root are kept, and those of git-annex also where their file was not fetched.
    Links that leave the root, links to folders, broken links,
    names that are not UTF-8 and unreadable folders are refused with a reason; with ``follow_symlinks``
    links are followed wherever they lead, each folder once. A tree of a million files costs one ``scandir``
    per folder and no ``stat`` per file; only symbolic links are looked at more closely.

    Raises:
        UsageError: this Python takes names for something other than UTF-8.
        OSError: the disk failed, and may work again.
    """
    walk = _Walk(Path(os.path.abspath(root)), follow_symlinks=follow_symlinks)  # noqa: PTH100
    pending = [""]
    while pending:
        pending.extend(reversed(walk.enter(pending.pop())))
    found = walk.root, tuple(walk.files), tuple(walk.refused)
    return Tree(*found, follow_symlinks, volumes_only, headers or KnownHeaders())


class _Walk:
    """One pass over a tree; ``enter`` reads one folder and returns the folders inside it."""

    def __init__(self, root: Path, *, follow_symlinks: bool) -> None:
        self.root = root
        self.files: list[str] = []
        self.refused: list[Unmatched] = []
        self._follow = follow_symlinks
        self._inside = os.path.join(os.path.realpath(root), "")  # noqa: PTH118
        self._visited: set[tuple[int, int]] = set()

    def enter(self, folder: str) -> list[str]:
        path = self.root / folder
        try:
            if self._follow and self._is_visited(path):
                self._refuse(folder, "link to a folder that is already listed")
                return []
            with os.scandir(path) as entries:
                kept = {entry.name: entry for entry in entries if not _is_ignored(entry.name)}
        except OSError as error:
            if error.errno in TRANSIENT:
                raise  # its cases are not gone
            self._refuse(folder, f"folder cannot be read: {error.strerror}")
            return []
        return [
            join(folder, name)
            for name in natural_sorted(kept)
            if self._is_folder(folder, kept[name])
        ]

    def _is_folder(self, folder: str, entry: os.DirEntry[str]) -> bool:
        """Keep or refuse the entry; true for a folder to go into."""
        file = join(folder, entry.name)
        check_read_as_utf8(file)
        if not _is_utf8(entry.name):
            self._refuse(file, "name is not valid UTF-8; rename it")
        elif entry.is_symlink():
            return self._is_folder_link(file, entry)
        elif entry.is_dir(follow_symlinks=False):
            return True
        elif entry.is_file(follow_symlinks=False):
            self.files.append(file)
        else:
            self._refuse(file, "neither a file nor a folder")
        return False

    def _is_folder_link(self, file: str, entry: os.DirEntry[str]) -> bool:
        target = os.path.realpath(entry.path)
        allowed = self._follow or target.startswith(self._inside)
        if not os.path.exists(target):  # noqa: PTH110
            if allowed and is_annex_link(entry.path):
                self.files.append(
                    file
                )  # left out, its case would lack a slice or a label in silence
            else:
                self._refuse(file, f"broken link to {target}")
        elif entry.is_dir():
            if self._follow:
                return True
            self._refuse(file, "link to a folder; allow it with input.follow_symlinks: true")
        elif allowed:
            self.files.append(file)
        else:
            self._refuse(
                file, "link out of the input folder; allow it with input.follow_symlinks: true"
            )
        return False

    def _is_visited(self, path: Path) -> bool:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        known = identity in self._visited
        self._visited.add(identity)
        return known

    def _refuse(self, file: str, reason: str) -> None:
        path = os.fsencode(self.root / file).decode("utf-8", "backslashreplace")
        self.refused.append(Unmatched(path, reason))


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Found:
    """The cohort under a root: ``cases`` in natural order of their ids, ``unmatched`` in order of path.

    All files of the cases lie in ``root``; it is empty where links and manifests may lead anywhere.
    """

    layout: str
    cases: tuple[Case, ...]
    unmatched: tuple[Unmatched, ...] = ()
    root: str = ""


@dataclass(slots=True)
class Outcome:
    """What one layout makes of a tree, before the files left over are accounted for.

    ``reasons`` says of files (relative to the root) why they are in no case. ``own`` names the files the
    layout itself consists of (``dataset.json``, sidecars): they are neither cases nor unmatched.
    """

    cases: list[Case] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
