"""The files under a root as one value, and what their names say of their format.

Paths inside a tree are relative to its root and use ``/``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gpuprep.layouts.found import Unmatched

_VOXELS_OF_HEADER = {".hdr": ".img", ".hdr.gz": ".img.gz"}
VOLUME_SUFFIXES = frozenset(
    {".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", *_VOXELS_OF_HEADER}
)
_HEADERS_OF_VOXELS = {
    ".img": (".hdr", ".mhd"),
    ".img.gz": (".hdr.gz",),
    ".raw": (".mhd", ".nhdr"),
    ".raw.gz": (".nhdr",),
    ".zraw": (".mhd",),
}
_DOUBLE_SUFFIXES = (".nii.gz", ".hdr.gz", ".img.gz", ".raw.gz")
_DIGITS = re.compile(r"([0-9]+)")
_DICOM_NAME = re.compile(r"dicomdir|.*\.(?:dcm|dicom|ima)", re.IGNORECASE)
_UNSUFFIXED = re.compile(r"[^.]+|.*\.[0-9]+")  # IM0001, or CT.1.2.840.113619.2
_SNIFFED_PER_FOLDER = 4

NaturalKey = tuple[tuple[str | int, ...], str]


def natural_key(name: str) -> NaturalKey:
    """Sort key that puts ``volume-2`` before ``volume-10`` and ignores case; ties follow the text."""
    parts: list[str | int] = list(_DIGITS.split(name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return tuple(parts), name


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and lower-case suffix of a file name; ``.nii.gz`` counts as one suffix."""
    lower = name.lower()
    for suffix in _DOUBLE_SUFFIXES:
        if lower.endswith(suffix):
            return name[: -len(suffix)], suffix
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if dot and stem else (name, "")


def split_path(file: str) -> tuple[str, str]:
    """Folder (``""`` at the root) and name of a path inside a tree."""
    folder, _, name = file.rpartition("/")
    return folder, name


def stem_of(file: str) -> str:
    """The file's name without its folder and suffix."""
    return split_suffix(split_path(file)[1])[0]


def join(folder: str, name: str) -> str:
    """A path inside a tree from a folder (``""`` is the root) and a name."""
    return f"{folder}/{name}" if folder else name


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
    def holds_dicom(self) -> bool:
        """Whether some file is DICOM by its name, or by its first bytes where the name tells nothing."""
        sniffed: dict[str, int] = {}
        for file in self.files:
            folder, name = split_path(file)
            if _DICOM_NAME.fullmatch(name):
                return True
            if not _UNSUFFIXED.fullmatch(name) or sniffed.get(folder, 0) >= _SNIFFED_PER_FOLDER:
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
        headers = _HEADERS_OF_VOXELS.get(suffix, ())
        return any(stem + header in self.known for header in headers)

    def is_volume(self, file: str) -> bool:
        """Whether a file of the tree is of a known volume format, with its voxels beside it."""
        stem, suffix = split_suffix(file)
        voxels = _VOXELS_OF_HEADER.get(suffix)
        return suffix in VOLUME_SUFFIXES and (voxels is None or stem + voxels in self.known)


def looks_like_dicom(name: str) -> bool:
    """Whether a file may be DICOM judging by its name alone."""
    return bool(_DICOM_NAME.fullmatch(name) or _UNSUFFIXED.fullmatch(name))


def has_dicom_magic(path: str) -> bool:
    """Whether the file has DICOM's ``DICM`` after its 128-byte preamble."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False
