"""DICOM objects that tell where structures of an image are: their names, and the images they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gpuprep.io.dicom.header import CONTOURS, STRUCTURES, parsed, parsing
from gpuprep.io.dicom.membership import Structures
from gpuprep.io.rules import Reading

_CLASS = Tag("SOPClassUID")
_TAGS: list[str | int] = [
    "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesDescription", "ContentLabel",
    "StructureSetLabel", "ReferencedSeriesSequence", "SegmentSequence", "StructureSetROISequence",
    "ReferencedFrameOfReferenceSequence",
]  # fmt: skip

Choice = list[tuple[int, frozenset[int]]]
"""The value of each structure of a label map, and the numbers that are it in the file."""


def class_of(path: Path) -> str:
    """The SOP class of a file that tells of structures; empty of any other."""
    with parsing(path):
        found = str(parsed(path, [_CLASS], last=_CLASS)[0].get("SOPClassUID") or "")
    return found if found in STRUCTURES else ""


def structures_in(path: Path) -> Structures:
    """What the header of a segmentation or of a structure set tells; no pixel and no contour is read."""
    with parsing(path):
        dataset, _ = parsed(path, _TAGS)
        contours = str(dataset.get("SOPClassUID")) == CONTOURS
        rows = _regions(dataset) if contours else _segments(dataset)
        series = _drawn_on(dataset) if contours else _items(dataset, "ReferencedSeriesSequence")
        images = (str(each.get("SeriesInstanceUID") or "") for each in series)
        label = dataset.get("StructureSetLabel" if contours else "ContentLabel")
        return Structures(
            "contours of another series" if contours else "segmentation of another series",
            other_object=True,
            study=str(dataset.get("StudyInstanceUID") or ""),
            series=str(dataset.get("SeriesInstanceUID") or ""),
            description=str(dataset.get("SeriesDescription") or label or ""),
            images=tuple(dict.fromkeys(filter(None, images))),
            names=tuple(_distinct(rows)),
            contours=contours,
        )


def chosen(volume: str, names: Sequence[tuple[int, str]], reading: Reading) -> Choice:
    """Which structures are meant: ``1+3,4`` is 1 for numbers 1 and 3, and 2 for number 4; empty for all.

    Raises:
        InputError: E_UNREADABLE if the file has no such structure.
    """
    known = {number for number, _ in names}
    if not volume:
        return [(number, frozenset({number})) for number in sorted(known)]
    wanted = [frozenset(map(int, part.split("+"))) for part in volume.split(",")]
    if strange := sorted(frozenset().union(*wanted) - known):
        raise reading.error(
            "E_UNREADABLE",
            f"the file has no structure of number {strange[0]}, but {sorted(known)}",
            "Plan again: the file is another one than it was.",
        )
    return list(enumerate(wanted, start=1))


def names_of(choice: Choice, names: Sequence[tuple[int, str]]) -> dict[int, str]:
    """What each value of a label map is called in its file."""
    return {
        value: " + ".join(name for number, name in names if number in numbers)
        for value, numbers in choice
    }


def _segments(dataset: Dataset) -> Iterator[tuple[int, str]]:
    for each in _items(dataset, "SegmentSequence"):
        number = int(each.SegmentNumber)
        if number:  # 0 is background, which label maps may describe
            yield number, str(each.get("SegmentLabel") or f"segment {number}")


def _regions(dataset: Dataset) -> Iterator[tuple[int, str]]:
    """ROIs by their place in the list: their own numbers may be any, 0 among them."""
    for place, each in enumerate(_items(dataset, "StructureSetROISequence"), start=1):
        yield place, str(each.get("ROIName") or f"roi {each.get('ROINumber', place)}")


def _drawn_on(dataset: Dataset) -> Iterator[Dataset]:
    for frame in _items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in _items(frame, "RTReferencedStudySequence"):
            yield from _items(study, "RTReferencedSeriesSequence")


def _items(dataset: Dataset, keyword: str) -> Sequence[Any]:
    return dataset.get(keyword) or ()


def _distinct(rows: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Names of which no two are one but for case and blanks: the second ``liver`` is ``liver 2``."""
    seen: set[str] = set()
    for number, text in rows:
        plain = " ".join(text.split()) or f"structure {number}"
        name, count = plain, 1
        while _spelt(name) in seen:
            count += 1
            name = f"{plain} {count}"
        seen.add(_spelt(name))
        yield number, name


def _spelt(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")
