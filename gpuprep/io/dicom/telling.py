"""What tells the volume of a slice: out of a header alone for discovery, out of a slice for reading it."""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom.dataset import Dataset

from gpuprep.io.dicom.frames import Frame
from gpuprep.io.dicom.header import DamagedValue, value
from gpuprep.io.dicom.membership import Membership
from gpuprep.io.dicom.slice import Slice, read_slices
from gpuprep.io.dicom.volumes import Seen, told_settings
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError


def telling(dataset: Dataset) -> tuple[str, str, str, bool]:
    """Settings, orientation, position, and whether it is a mosaic, as ``Membership`` has them.

    What is damaged is left out: reading the file will say so.
    """
    frame = Frame(dataset)
    try:
        modality = str(value(dataset, "Modality") or "")
        told = told_settings(frame.settings, modality, frame.kind(modality))
        places = [
            " ".join(map(repr, frame.numbers("", keyword, count)))
            for keyword, count in (("ImageOrientationPatient", 6), ("ImagePositionPatient", 3))
        ]
    except DamagedValue:
        return "", "", "", frame.mosaic
    settings = "\n".join(f"{keyword} {text}" for keyword, text in told)
    return sys.intern(settings), sys.intern(places[0]), places[1], frame.mosaic


def seen_in_header(member: Membership) -> Seen:
    """Of a file with one frame, as its header told."""
    settings = tuple(
        (keyword, text)
        for keyword, _, text in (each.partition(" ") for each in member.settings.splitlines())
    )
    orientation, position = (
        tuple(map(float, each.split())) for each in (member.orientation, member.position)
    )
    return Seen(settings, position, orientation, member.number, 0, member.mosaic)


def seen_of(one: Slice) -> Seen:
    """Of one slice, or of an image that is a mosaic."""
    settings = told_settings(one.settings, one.modality, one.kind)
    mosaic = one.mosaic is not None
    return Seen(settings, one.position, one.orientation, one.number, one.frame, mosaic)


def seen_in_frames(path: Path) -> list[Seen]:
    """Of every frame of a file; none where its header cannot be read, which reading it will say."""
    try:
        return [seen_of(one) for one in read_slices(path, ReadRules())]
    except (InputError, OSError):
        return []
