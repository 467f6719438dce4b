"""The files under a root, and what a layout makes of them: cases, and reasons."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

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
from gpuprep.cohort.layouts.signs import Signs
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.structures import StructureRules

SeveralVolumes = Literal["refuse", "channels", "cases", "first"]

_SNIFFED_PER_FOLDER = 4


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
    several_volumes: SeveralVolumes = "refuse"
    """What becomes of those that hold several."""
    structures: StructureRules = field(default_factory=StructureRules)
    """Which structures, and which series of masks, are labels."""
    headers: KnownHeaders = field(default_factory=KnownHeaders)
    """What is known of DICOM headers without reading them."""

    @cached_property
    def known(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def names(self) -> str:
        """All paths from the root's name on in lower case, a line each, to look into all at once."""
        return f"\n{self.root.name}/".join(("", *self.files)).lower() + "\n"

    @cached_property
    def volumes(self) -> tuple[str, ...]:
        """Files of a known volume format, DICOM apart; an ``.hdr`` counts only with its ``.img``."""
        return tuple(file for file in self.files if self.is_volume(file))

    @cached_property
    def folders(self) -> dict[str, list[str]]:
        """The names of the volume files in each folder that has any."""
        folders: dict[str, list[str]] = {}
        for file in self.volumes:
            folder, _, name = file.rpartition("/")
            folders.setdefault(folder, []).append(name)
        return folders

    @cached_property
    def stems(self) -> dict[str, list[str]]:
        """The names of the volume files without their suffixes, in the order of ``folders``."""
        return {
            folder: [split_suffix(name)[0] for name in names]
            for folder, names in self.folders.items()
        }

    @cached_property
    def signs(self) -> Signs:
        """What the stems might tell."""
        return Signs(itertools.chain.from_iterable(self.stems.values()))

    @cached_property
    def groups(self) -> dict[str, list[Group]]:
        """The volume files of each folder that has any, brought together by their names."""
        return {
            folder: group_folder(folder, names, self.stems[folder])
            for folder, names in self.folders.items()
        }

    @cached_property
    def holds_dicom(self) -> bool:
        """Whether some file is DICOM by its name, or by its first bytes where the name tells nothing."""
        sniffed: dict[str, int] = {}
        volumes = frozenset(self.volumes)  # whose names are none of DICOM's
        for file in self.files:
            if file in volumes:
                continue
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
        if suffix not in VOXELS_OF_HEADER:
            return suffix in VOLUME_SUFFIXES
        return stem + VOXELS_OF_HEADER[suffix] in self.known


def has_dicom_magic(path: str) -> bool:
    """Whether the file has DICOM's ``DICM`` after its 128-byte preamble."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


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
