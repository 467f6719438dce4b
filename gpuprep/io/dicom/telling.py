"""What tells the volume of a slice: out of a header alone for discovery, out of a slice for reading it."""

from __future__ import annotations

import sys
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from gpuprep.io.dicom.frames import Frame, Numbers
from gpuprep.io.dicom.header import DamagedValue, value
from gpuprep.io.dicom.membership import Membership
from gpuprep.io.dicom.slice import Slice, read_slices
from gpuprep.io.dicom.volumes import HIDDEN, Seen, told_settings
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError

_ORIENTATION, _POSITION = Tag("ImageOrientationPatient"), Tag("ImagePositionPatient")


def telling(dataset: Dataset) -> tuple[str, str, str, bool]:
    """Settings, orientation, position, and whether it is a mosaic, as ``Membership`` has them.

    What is damaged is left out: reading the file will say so.
    """
    frame = Frame(dataset)
    try:
        modality = str(value(dataset, "Modality") or "")
        told = told_settings(frame.settings, modality, frame.kind(modality))
        if modality == "MR" and "DiffusionBValue" not in dict(told) and _hides_b_values(dataset):
            told += ((HIDDEN, "b-value"),)
    except DamagedValue:
        return "", "", "", frame.mosaic
    settings = "\n".join(f"{keyword} {text}" for keyword, text in told)
    orientation, position = (_as_written(dataset, tag) for tag in (_ORIENTATION, _POSITION))
    return sys.intern(settings), sys.intern(orientation), position, frame.mosaic


def _hides_b_values(dataset: Dataset) -> bool:
    """Whether a b-value of the vendor's may lie behind what is read of a header to find series."""
    return str(value(dataset, "Manufacturer") or "").upper().startswith(("GE", "PHILIPS"))


def _as_written(dataset: Dataset, tag: BaseTag) -> str:
    """The text of a tag with numbers, which most files are never asked for."""
    element = dataset.get_item(tag)
    held = None if element is None else element.value
    if isinstance(held, bytes):
        return held.decode("ascii", "replace").strip(" \0")
    return "" if held is None else str(held)


def _numbers(text: str, count: int) -> Numbers:
    """The numbers of a text with backslashes between; none where it holds anything else."""
    try:
        numbers = tuple(float(each) for each in text.split("\\"))
    except ValueError:
        return ()
    return numbers if len(numbers) == count else ()


def seen_in_header(member: Membership) -> Seen:
    """Of a file with one frame, as its header told."""
    settings = tuple(
        (keyword, text)
        for keyword, _, text in (each.partition(" ") for each in member.settings.splitlines())
    )
    position, orientation = _numbers(member.position, 3), _numbers(member.orientation, 6)
    return Seen(settings, position, orientation, member.number, 0, member.mosaic)


def seen_of(one: Slice) -> Seen:
    """Of one slice, or of an image that is a mosaic."""
    settings = told_settings(one.settings, one.modality, one.kind)
    if one.vendor_b is not None and "DiffusionBValue" not in dict(settings):
        settings += (("DiffusionBValue", f"{one.vendor_b:g}"),)
    mosaic = one.mosaic is not None
    placed = one.position, one.orientation
    return Seen(settings, *placed, one.number, one.part, mosaic, one.dimensions)


def seen_whole(path: Path) -> list[Seen]:
    """By the whole header, of every frame of a file; none where it cannot be read, as reading will say."""
    try:
        return [seen_of(one) for one in read_slices(path, ReadRules())]
    except (InputError, OSError):
        return []
