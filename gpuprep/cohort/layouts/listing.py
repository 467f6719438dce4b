"""Listing the files under a root, in natural order."""

from __future__ import annotations

import os
from pathlib import Path

from gpuprep.cohort.layouts.naming import check_read_as_utf8, join
from gpuprep.cohort.layouts.tree import SeveralVolumes, Tree, Unmatched
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.placeholders import is_annex_link
from gpuprep.values.case import natural_sorted
from gpuprep.values.errors import TRANSIENT
from gpuprep.values.structures import StructureRules

_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def list_tree(
    root: Path,
    *,
    follow_symlinks: bool = False,
    volumes_only: bool = False,
    several_volumes: SeveralVolumes = "refuse",
    structures: StructureRules | None = None,
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
    asked = follow_symlinks, volumes_only, several_volumes
    return Tree(*found, *asked, structures or StructureRules(), headers or KnownHeaders())


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
                kept = {entry.name: entry for entry in entries}
        except OSError as error:
            if error.errno in TRANSIENT:
                raise  # its cases are not gone
            self._refuse(folder, f"folder cannot be read: {error.strerror}")
            return []
        start, below = f"{folder}/" if folder else "", []
        for name in natural_sorted(kept):
            if _is_ignored(name):
                continue
            if name.isascii() and kept[name].is_file(follow_symlinks=False):  # as nearly all
                self.files.append(start + name)
            elif self._is_folder(folder, kept[name]):
                below.append(start + name)
        return below

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
    return name[0] == "." or name.lower() in _JUNK


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
