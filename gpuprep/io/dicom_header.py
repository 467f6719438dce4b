"""What one DICOM file says about its slices: plain values out of tags, and nothing of the patient.

A classic file holds one slice; an enhanced one holds many frames with functional groups, per frame or
shared. Both become a list of ``Slice``, so that everything after this file knows one kind only.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pydicom
import pydicom.config
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from gpuprep.errors import InputError
from gpuprep.io.dicom_frames import Frame, Numbers
from gpuprep.io.integrity import open_regular
from gpuprep.io.limits import check_limits
from gpuprep.io.rules import ReadRules

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LOSSY_SYNTAXES = frozenset(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81, 91, 93, 203, 112)
)
_DECODABLE = frozenset(
    {"1.2.840.10008.1.2.5"}
    | {f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91)}
)
"""Transfer syntaxes that GDCM decodes: RLE, JPEG, JPEG-LS, JPEG 2000."""
_MEMBERSHIP_TAGS = [
    "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesDescription",
    "SeriesNumber", "InstanceNumber", "Rows", "Columns",
]  # fmt: skip
_SLICE_TAGS = [
    *_MEMBERSHIP_TAGS, "ImageType", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "PixelPaddingValue", "LossyImageCompression",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice: where it lies (LPS mm), how it is stored, and which frame of which file it is.

    Attributes:
        header_bytes: Where the pixels begin in the file.
        position: Of the first pixel; empty, as the next two, where the file has none.
        orientation: Cosines of the row, then of the column.
        pixel_spacing: Between rows, then between columns.
        claimed_step: The spacing between slices that the file states, or else the slice thickness.
        line: Rescale slope and intercept of this slice …
        file_line: … and those that GDCM applies to every frame of the file.
        kind: Tells apart images that make no common volume: localizer and axial, magnitude and phase.
    """

    path: str
    frame: int
    frames: int
    header_bytes: int
    series: str
    modality: str
    rows: int
    columns: int
    position: Numbers
    orientation: Numbers
    pixel_spacing: Numbers
    claimed_step: float | None
    line: tuple[float, float]
    file_line: tuple[float, float]
    kind: str
    mosaic: bool
    photometric: str
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: int | None
    lossy: bool
    syntax: str
    compressed: bool
    implicit: bool
    big_endian: bool
    number: int


def looks_like_dicom(start: bytes) -> bool:
    """True for a file with the DICOM preamble, or for a bare data set that begins as they do."""
    if start[128:132] == b"DICM":
        return True
    return start[:2] in (b"\x02\x00", b"\x08\x00") and start[3:4] == b"\x00" and start[2] < 0x20


def read_slices(path: Path, rules: ReadRules) -> list[Slice]:
    """The slices of one file, from its header alone.

    Raises:
        InputError: E_UNREADABLE if this is no DICOM image, or a tag that matters is nonsense; E_LIMIT
            before anything is made for frames that are too many.
    """
    with _parsing(path):
        dataset, length = _parsed(path, _SLICE_TAGS)
        if reason := not_an_image(dataset):
            raise InputError("E_UNREADABLE", reason, path=str(path))
        frames = max(1, int(dataset.get("NumberOfFrames") or 1))
        check_limits(path, (1, frames, int(dataset.Rows), int(dataset.Columns)), 1, rules)
        groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
        if groups and len(groups) != frames:
            raise InputError(
                "E_UNREADABLE",
                f"{len(groups)} frame descriptions for {frames} frames",
                path=str(path),
            )
        shared = next(iter(dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]))
        described = [Frame(dataset, group, shared) for group in groups or [Dataset()]]
        slices = [
            _slice(path, dataset, length, frame, index, described)
            for index, frame in enumerate(described)
        ]
        if groups:
            return slices
        return [replace(slices[0], frame=index, frames=frames) for index in range(frames)]


@dataclass(frozen=True, slots=True)
class Membership:
    """Which series a file belongs to, and as which instance."""

    series: str
    study: str
    modality: str
    description: str
    series_number: int
    number: int


def read_membership(path: Path) -> Membership:
    """Only what tells which series a file belongs to.

    Raises:
        InputError: E_UNREADABLE if this is no DICOM image.
    """
    with _parsing(path):
        dataset, _ = _parsed(path, _MEMBERSHIP_TAGS)
        if reason := not_an_image(dataset):
            raise InputError("E_UNREADABLE", reason, path=str(path))
        return Membership(
            str(dataset.get("SeriesInstanceUID") or ""),
            str(dataset.get("StudyInstanceUID") or ""),
            str(dataset.get("Modality") or ""),
            str(dataset.get("SeriesDescription") or ""),
            _number(dataset, "SeriesNumber"),
            _number(dataset, "InstanceNumber"),
        )


def is_other_object(path: Path) -> bool:
    """Whether a file is a DICOM object other than an image: a segmentation, a report, a directory."""
    try:
        with _parsing(path):
            return bool(_other_class(_parsed(path, _MEMBERSHIP_TAGS)[0]))
    except InputError:
        return False


def not_an_image(dataset: Dataset) -> str:
    """Why a data set is no image that a volume is made of; empty if it is one."""
    if named := _other_class(dataset):
        return f"this is a DICOM object of class {named}, not an image"
    if not dataset.get("Rows") or not dataset.get("Columns"):
        return "this DICOM file has no rows and columns"
    return ""


def _other_class(dataset: Dataset) -> str:
    sop_class = UID(str(dataset.get("SOPClassUID") or ""))
    named = sop_class.name if sop_class.name != sop_class else ""
    return "" if "Image Storage" in named else named


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """One kind of error for the many that pydicom raises.

    Its texts and warnings quote header values, which may name the patient: they are not passed on.
    """
    try:
        with warnings.catch_warnings(), pydicom.config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except (
        Exception
    ) as error:  # a MemoryError, too: no header needs much, but a length can ask for 4 GiB
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the file system; pydicom's own for a cut sequence has no number
        raise InputError(
            "E_UNREADABLE",
            f"the DICOM header is damaged ({type(error).__name__})",
            path=str(path),
            advice="Export the file again.",
        ) from error


def _parsed(path: Path, tags: list[str]) -> tuple[FileDataset, int]:
    """The tags of a file, and where its pixel data begins."""
    with open_regular(path) as file:
        start = file.read(2048)
        if not looks_like_dicom(start):
            raise InputError("E_UNREADABLE", "this is not a DICOM file", path=str(path))
        if _DEFLATED in start:  # pydicom would inflate it whole, however large
            raise InputError(
                "E_UNREADABLE", "the deflated transfer syntax is not supported", path=str(path)
            )
        file.seek(0)
        bare = start[128:132] != b"DICM"
        dataset = pydicom.dcmread(
            file, stop_before_pixels=True, specific_tags=list(tags), force=bare
        )
        return dataset, file.tell()


def _slice(
    path: Path,
    dataset: FileDataset,
    header_bytes: int,
    frame: Frame,
    index: int,
    frames: Sequence[Frame],
) -> Slice:
    modality = str(dataset.get("Modality") or "")
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or "1.2.840.10008.1.2"))
    known = syntax.is_transfer_syntax
    if known and syntax.is_compressed and syntax not in _DECODABLE:
        raise InputError(
            "E_UNREADABLE",
            f"there is no decoder for pixels compressed as {syntax.name}",
            path=str(path),
            advice="Export the series without compression, or as JPEG 2000 or JPEG-LS.",
        )
    padding = dataset.get("PixelPaddingValue")
    return Slice(
        path=str(path),
        frame=index,
        frames=len(frames),
        header_bytes=header_bytes + (8 if known and syntax.is_implicit_VR else 12),
        series=str(dataset.get("SeriesInstanceUID") or ""),
        modality=modality,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        position=frame.numbers("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=frame.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel_spacing=frame.numbers("PixelMeasuresSequence", "PixelSpacing", 2),
        claimed_step=frame.claimed_step,
        line=frame.line,
        file_line=frames[0].line,
        kind=frame.kind(modality),
        mosaic=frame.mosaic,
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        bits_allocated=int(dataset.get("BitsAllocated") or 16),
        bits_stored=int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16),
        signed=bool(dataset.get("PixelRepresentation")),
        padding=int(padding) if isinstance(padding, int | float) else None,
        lossy=str(dataset.get("LossyImageCompression") or "") == "01" or syntax in _LOSSY_SYNTAXES,
        syntax=syntax.name,
        compressed=known and syntax.is_compressed,
        implicit=known and syntax.is_implicit_VR,
        big_endian=known and not syntax.is_little_endian,
        number=_number(dataset, "InstanceNumber"),
    )


def _number(dataset: Dataset, keyword: str) -> int:
    text = str(dataset.get(keyword) or "").strip()
    return int(text) if text.lstrip("+-").isdecimal() else 0
