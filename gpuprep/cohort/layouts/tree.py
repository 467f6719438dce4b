"""The files under a root as one value, with the views of them that layouts ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpuprep.cohort.layouts.found import Unmatched
from gpuprep.cohort.layouts.groups import Group, group_folder
from gpuprep.cohort.layouts.naming import (
    DICOM_NAME,
    HEADERS_OF_VOXELS,
    UNSUFFIXED,
    VOLUME_SUFFIXES,
    VOXELS_OF_HEADER,
    split_path,
    split_suffix,
)

_SNIFFED_PER_FOLDER = 4


@dataclass(frozen=True, eq=False)
class Tree:
    """The files under ``root``, folder by folder in natural order, and those refused with a reason."""

    root: Path
    files: tuple[str, ...]
    refused: tuple[Unmatched, ...] = ()
    follow_symlinks: bool = False

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

    def path(self, file: str) -> str:
        """The absolute path of a file of the tree (an absolute one is returned as it is)."""
        return os.path.join(self.root, file)  # noqa: PTH118  a Path per file costs seconds per million

    def relative(self, path: str) -> str:
        """The inverse of ``path``; a path outside the root stays absolute."""
        prefix = os.path.join(self.root, "")  # noqa: PTH118
        return path.removeprefix(prefix)

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
