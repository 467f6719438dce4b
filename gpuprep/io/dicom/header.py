"""The header of one DICOM file: parsed safely, and the tags that say which series it belongs to."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pydicom.config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from gpuprep.io.dicom.deflated import DEFLATED, is_deflated, open_plain
from gpuprep.io.dicom.membership import Header, Membership, NoImage, looks_like_dicom
from gpuprep.values.errors import InputError

SEGMENTATION, LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
CONTOURS = "1.2.840.10008.5.1.4.1.1.481.3"
STRUCTURES = frozenset({SEGMENTATION, LABEL_MAP, CONTOURS})
"""Classes of DICOM objects that tell where structures of an image are."""
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
SIEMENS_OWNER, SIEMENS_B_VALUE = 0x00190010, 0x0019100C
MEMBERSHIP_TAGS: list[str | int] = [
    "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesDescription",
    "SeriesNumber", "InstanceNumber", "Rows", "Columns", "ImageType", "NumberOfFrames",
    "ImagePositionPatient", "ImageOrientationPatient", "EchoTime", "DiffusionBValue",
    "TemporalPositionIdentifier", "KVP", "ConvolutionKernel", "Manufacturer", SIEMENS_OWNER,
    SIEMENS_B_VALUE,
]  # fmt: skip
_TELLING = ("SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "Rows", "Columns")
_NEEDED, _LAST = [Tag(tag) for tag in MEMBERSHIP_TAGS], Tag("Columns")


def read_header(path: Path) -> Header:
    """Which series a file belongs to, or why to none; at the second go if the disk failed at the first."""
    try:
        return _read_header(path)
    except OSError:
        try:
            return _read_header(path)
        except OSError as error:
            return error


def _read_header(path: Path) -> Header:
    try:
        with parsing(path):
            dataset = _needed(path)
            if str(dataset.get("SOPClassUID") or "") in STRUCTURES:
                from gpuprep.io.dicom.drawn.structures import (
                    structures_in,
                )  # which reads tags as is done here

                return structures_in(path)
            return _membership(dataset)
    except InputError as error:
        lasting = not isinstance(error.__cause__, OSError | MemoryError)
        return NoImage(error.message, _is_other_object(path), lasting)


def _needed(path: Path) -> Dataset:
    """The tags that tell the series, up to the columns, where the last of them lies in a file in order.

    What comes after is read only where one of these is missing.
    """
    dataset, _ = parsed(path, _NEEDED, last=_LAST)
    if all(keyword in dataset for keyword in _TELLING):
        return dataset
    return parsed(path, MEMBERSHIP_TAGS)[0]


def _membership(dataset: Dataset) -> Membership:
    from gpuprep.io.dicom.telling import telling  # which reads tags by what is below

    if reason := not_an_image(dataset):
        raise InputError("E_UNREADABLE", reason)
    frames = max(1, number(dataset, "NumberOfFrames"))
    return Membership(
        str(dataset.get("SeriesInstanceUID") or ""),
        str(dataset.get("StudyInstanceUID") or ""),
        str(dataset.get("Modality") or ""),
        str(dataset.get("SeriesDescription") or ""),
        number(dataset, "SeriesNumber"),
        number(dataset, "InstanceNumber"),
        _kind(dataset),
        frames,
        *(telling(dataset) if frames == 1 else ()),
    )


def _kind(dataset: Dataset) -> str:
    types = dataset.get("ImageType") or ()
    if "LOCALIZER" in {
        str(each).upper() for each in ([types] if isinstance(types, str) else types)
    }:
        return "localizer"
    if not str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURE):
        return ""
    placed = dataset.get("ImagePositionPatient")
    return "" if placed else "secondary capture without a position"


def _is_other_object(path: Path) -> bool:
    """Whether a file that is no image is a DICOM object all the same; False for one that cannot be read."""
    try:
        with parsing(path):
            return bool(_other_class(parsed(path, MEMBERSHIP_TAGS)[0]))
    except (InputError, OSError):
        return False


def not_an_image(dataset: Dataset) -> str:
    """Why a data set is no image that a volume is made of; empty if it is one."""
    if named := _other_class(dataset):
        return f"this is a DICOM object of class {named}, not an image"
    if not whole(dataset, "Rows") or not whole(dataset, "Columns"):
        return "this DICOM file has no rows and columns"
    return ""


def _other_class(dataset: Dataset) -> str:
    sop_class = UID(str(dataset.get("SOPClassUID") or ""))
    named = sop_class.name if sop_class.name != sop_class else ""
    return "" if "Image Storage" in named else named


class DamagedValue(Exception):
    """A tag whose value is not of the kind that it must be."""

    def __init__(self, keyword: str, wanted: str) -> None:
        tag = tag_for_keyword(keyword)
        place = "" if tag is None else f" ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        super().__init__(f"the value of {keyword}{place} is not {wanted}")


def value(dataset: Dataset, keyword: str, wanted: str = "readable") -> Any:
    """The value of a tag; None where it is missing.

    Raises:
        DamagedValue: pydicom cannot make sense of its bytes.
    """
    tag = _tag(keyword)
    if tag not in dataset:
        return None
    try:
        return dataset[tag].value
    except Exception as error:  # of many kinds, by the tag's type
        raise DamagedValue(keyword, wanted) from error


@cache
def _tag(keyword: str) -> BaseTag:
    """The tag of a keyword; looked up once, where pydicom does so for every value."""
    return Tag(keyword)


def whole(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """A whole number; the default where the tag is missing or empty.

    Raises:
        DamagedValue: it holds anything else.
    """
    found = value(dataset, keyword, "a whole number")
    if found is None or found == "":
        return default
    try:
        return int(found)
    except (TypeError, ValueError, OverflowError) as error:
        raise DamagedValue(keyword, "a whole number") from error


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """One kind of error for the many that pydicom raises.

    Its texts and warnings quote header values, which may name the patient: they are not passed on.
    """
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except DamagedValue as error:
        raise damaged(path, str(error)) from error
    except Exception as error:  # MemoryError, too: a header's length can ask for 4 GiB
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system; pydicom's own for a cut sequence has no number
        raise damaged(path, f"the DICOM header is damaged ({type(error).__name__})") from error


def damaged(path: object, text: str) -> InputError:
    """E_UNREADABLE for a file that contradicts itself, or breaks off."""
    return InputError("E_UNREADABLE", text, path=str(path), advice="Export the file again.")


def parsed(
    path: Path, tags: Sequence[str | int], *, last: int | None = None
) -> tuple[FileDataset, int]:
    """The tags of a file, and where its pixel data begins; or the tags up to ``last``, and where it ends."""
    with open_plain(path) as file:  # pydicom would inflate a deflated one whole, however large
        start = file.read(256)
        if not looks_like_dicom(start):
            raise InputError("E_UNREADABLE", "this is not a DICOM file", path=str(path))
        file.seek(0)
        bare = start[128:132] != b"DICM"
        if last is None:
            dataset = pydicom.dcmread(
                file, stop_before_pixels=True, specific_tags=list(tags), force=bare
            )
        else:
            dataset = read_partial(
                file,
                stop_when=lambda tag, *_: int.__gt__(tag, last),  # pydicom's own takes long
                specific_tags=list(map(Tag, tags)),
                force=bare,
            )
        if is_deflated(file):
            dataset.file_meta.TransferSyntaxUID = UID(DEFLATED)
        return dataset, file.tell()


def number(dataset: Dataset, keyword: str) -> int:
    """A whole number; 0 where the tag is missing or holds anything else."""
    text = str(value(dataset, keyword, "a whole number") or "").strip()
    return int(text) if text.lstrip("+-").isdecimal() else 0
