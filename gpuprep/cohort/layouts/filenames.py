"""What file names tell of format. Paths inside a tree use ``/`` and start at its root."""

from __future__ import annotations

import re

VOXELS_OF_HEADER = {".hdr": ".img", ".hdr.gz": ".img.gz"}
VOLUME_SUFFIXES = frozenset(
    {".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", *VOXELS_OF_HEADER}
)
HEADERS_OF_VOXELS = {
    ".img": (".hdr", ".mhd"),
    ".img.gz": (".hdr.gz",),
    ".raw": (".mhd", ".nhdr"),
    ".raw.gz": (".nhdr",),
    ".zraw": (".mhd",),
}
_DOUBLE_SUFFIXES = (".nii.gz", ".hdr.gz", ".img.gz", ".raw.gz")
DICOM_NAME = re.compile(r"dicomdir|.*\.(?:dcm|dicom|ima)", re.IGNORECASE)
UNSUFFIXED = re.compile(r"[^.]+|.*\.[0-9]+")  # IM0001, or CT.1.2.840.113619.2


def split_suffix(name: str) -> tuple[str, str]:
    """Stem and lower-case suffix of a file name; ``.nii.gz`` counts as one suffix."""
    lower = name.lower()
    if lower.endswith(_DOUBLE_SUFFIXES):
        stem, inner, outer = name.rsplit(".", 2)
        return stem, f".{inner}.{outer}".lower()
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix}".lower()) if dot and stem else (name, "")


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


def looks_like_dicom(name: str) -> bool:
    """Whether a file may be DICOM judging by its name alone."""
    return bool(DICOM_NAME.fullmatch(name) or UNSUFFIXED.fullmatch(name))
