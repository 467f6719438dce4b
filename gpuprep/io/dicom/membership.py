"""What the header of one file tells of its series: plain values, made without a DICOM library."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Membership:
    """Which series a file belongs to, and as which instance."""

    series: str
    study: str
    modality: str
    description: str
    series_number: int
    number: int
    kind: str = ""
    """What it is that is no slice of a volume: a localizer, a secondary capture; else empty."""
    frames: int = 1
    settings: str = ""
    """What tells the volumes of a series apart, a setting a line; empty of a file with many frames."""
    orientation: str = ""
    position: str = ""
    mosaic: bool = False
    """Whether the image holds the slices of a volume side by side."""


@dataclass(frozen=True, slots=True)
class NoImage:
    """Why a file is in no series, and whether it is a DICOM object all the same: a segmentation, a report."""

    reason: str
    other_object: bool = False
    lasting: bool = True
    """Whether the file's bytes say so, and not the machine: no permission, no memory."""


@dataclass(frozen=True, slots=True)
class Structures(NoImage):
    """A DICOM object that tells where structures of an image are: a segmentation, or contours."""

    study: str = ""
    series: str = ""
    description: str = ""
    images: tuple[str, ...] = ()
    """The UIDs of the series that it says it was drawn on."""
    names: tuple[tuple[int, str], ...] = ()
    """Of each structure the number and the name, which no two share."""
    contours: bool = False
    """Whether it holds contours, which are nothing without an image's grid."""


Header = Membership | NoImage | OSError
"""What reading a header came to; an OSError where the disk did not give the file."""


_ROWS = {
    told: (kind, tuple(each.name for each in fields(told)))
    for told, kind in ((Membership, "slice"), (Structures, "structures"), (NoImage, "other"))
}
"""Of each kind of header what a row of it is called, and what it holds in order."""


def looks_like_dicom(start: bytes) -> bool:
    """True for a file with the DICOM preamble, or for a bare data set that begins as they do."""
    if start[128:132] == b"DICM":
        return True
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00" and start[2] < 0x20


def to_row(header: Header) -> list[Any]:
    """A header as JSON."""
    if isinstance(header, OSError):
        return ["disk", header.errno, header.strerror]
    kind, names = _ROWS[type(header)]
    return [kind, *[getattr(header, name) for name in names]]


def from_row(row: list[Any]) -> Header:
    """The inverse of ``to_row``; raises ValueError or TypeError for anything else."""
    kind, *held = row
    if kind == "disk":
        return OSError(*held)
    if kind == "slice":
        held[8:10] = map(sys.intern, held[8:10])  # as few of very many files differ in
        return Membership(*held)
    if kind == "structures":
        images, names = held[6:8]
        named = tuple((int(number), str(name)) for number, name in names)
        drawn = {"images": tuple(images), "names": named, "contours": held[8]}
        return Structures(*held[:6], **drawn)
    if kind == "other":
        return NoImage(*held)
    raise ValueError(f"no header of kind {kind!r}")
