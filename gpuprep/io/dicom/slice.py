"""What one DICOM file says about its slices: plain values out of tags, and nothing of the patient.

A classic file holds one slice; an enhanced one holds many frames with functional groups, per frame or
shared. Both become a list of ``Slice``, so that everything after this file knows one kind only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from gpuprep.io.dicom.csa import MOSAIC_TAGS, Mosaic, mosaic_of
from gpuprep.io.dicom.frames import Frame, Numbers
from gpuprep.io.dicom.header import (
    MEMBERSHIP_TAGS,
    not_an_image,
    number,
    parsed,
    parsing,
    value,
    whole,
)
from gpuprep.io.dicom.pet import PET_TAGS, Pet, pet_of
from gpuprep.io.dicom.pixel_tags import is_implicit, offsets_in, padding_in
from gpuprep.io.dicom.syntaxes import Decoder, check_syntax, decoder_of, is_lossy, name_of
from gpuprep.io.dicom.table import ModalityTable, table_of
from gpuprep.io.dicom.vendors import BEHIND_TAGS, b_value_behind
from gpuprep.io.limits import check_limits
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError

_OVERLAY_BIT = 0x60000102  # of the first overlay; ones in unused bits of the pixels are retired
_SLICE_TAGS: list[str | int] = [
    *MEMBERSHIP_TAGS, "ImageType", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "LossyImageCompression", "Units", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", _OVERLAY_BIT, *MOSAIC_TAGS, *BEHIND_TAGS,
]  # fmt: skip
_IMAGE = "1.2.840.10008.5.1.4.1.1."
_GROUPED = frozenset(
    f"{_IMAGE}{end}"
    for end in (
        "2.1",
        "2.2",
        "4.1",
        "4.4",
        "13.1.1",
        "13.1.2",
        "13.1.3",
        "13.1.4",
        "13.1.5",
        "128.1",
        "130",
    )
)
"""Classes in which GDCM looks for the line of all frames in the functional groups, not at the top alone:
enhanced CT, MR and PET, also converted ones, 3-D angiography, craniofacial images and tomosynthesis."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Where a slice lies in a mosaic: the size of the whole, its place, and the slice's own first pixel.

    ``number`` counts the tiles.
    """

    rows: int
    columns: int
    top: int
    left: int
    number: int
    place: Numbers


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
        table: What takes the place of the line, in files that have one.
        kind: Tells apart images that make no common volume: localizer and axial, magnitude and phase …
        settings: … and so do these of the acquisition: echo time, b-value, tube voltage, kernel.
        mosaic: What is said of an image that is a mosaic; None for any other.
        padding: Lowest and highest stored value outside the field of view; None if none is declared.
        overlay: Whether unused bits of the pixels hold an overlay.
        vendor_b: The b-value that GE or Philips told in a tag of their own; None for none.
        tile: Where in a mosaic it lies; None for a slice that is an image by itself.
        deflated: Whether the whole data set is; where its pixels begin is counted as if it were not.
        decoder: Who decodes the pixels.
        offsets: The extended table of where compressed frames begin, and how long they are, as stored.
        misnamed: Whether it has kinds of values where its syntax says that it has none, or the other way.
        dimensions: The frame's indices by the dimensions of its file, whatever these are.
        pet: What SUV takes, of a PET slice where it is asked for.
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
    table: ModalityTable | None
    kind: str
    settings: tuple[str, ...]
    mosaic: Mosaic | None
    photometric: str
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    padding: tuple[int, int] | None
    overlay: bool
    lossy: bool
    syntax: str
    compressed: bool
    implicit: bool
    big_endian: bool
    number: int
    deflated: bool = False
    decoder: Decoder = "none"
    offsets: tuple[bytes, bytes] | None = field(default=None, repr=False)
    vendor_b: float | None = None
    tile: Tile | None = None
    misnamed: bool = False
    dimensions: tuple[int, ...] = ()
    pet: Pet | None = field(default=None, repr=False)

    @property
    def part(self) -> int:
        """Which frame or tile of its file it is."""
        return self.frame if self.tile is None else self.tile.number

    @property
    def image(self) -> Slice:
        """The whole image that holds the slice."""
        if self.tile is None:
            return self
        return replace(self, rows=self.tile.rows, columns=self.tile.columns, tile=None)


def read_slices(path: Path, rules: ReadRules) -> list[Slice]:
    """The slices of one file, from its header alone.

    Raises:
        InputError: E_UNREADABLE if this is no DICOM image, or a tag that matters is nonsense; E_LIMIT
            before anything is made for frames that are too many.
    """
    with parsing(path):
        dataset, length = parsed(path, [*_SLICE_TAGS, *(PET_TAGS if rules.suv else ())])
        if reason := not_an_image(dataset):
            raise InputError("E_UNREADABLE", reason, path=str(path))
        frames = max(1, whole(dataset, "NumberOfFrames", 1))
        rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
        check_limits(path, (1, frames, rows, columns), 1, rules)
        groups = list(value(dataset, "PerFrameFunctionalGroupsSequence", "a sequence") or [])
        if groups and len(groups) != frames:
            text = f"{len(groups)} frame descriptions for {frames} frames"
            raise InputError("E_UNREADABLE", text, path=str(path))
        syntax = _syntax(path, dataset)
        implicit = is_implicit(path, length, syntax)
        named = "TransferSyntaxUID" in dataset.file_meta
        misnamed = named and implicit != syntax.is_implicit_VR
        shared = next(
            iter(value(dataset, "SharedFunctionalGroupsSequence", "a sequence") or [Dataset()])
        )
        own = groups or [Dataset()]
        grouped = str(dataset.get("SOPClassUID") or "") in _GROUPED
        first = Frame(dataset, *((shared, own[0]) if grouped else ()))
        slices = [
            _slice(path, dataset, (syntax, implicit), length, Frame(dataset, group, shared), first)
            for group in own
        ]
        if rules.suv and slices[0].modality == "PT" and not groups:
            slices = [replace(slices[0], pet=pet_of(dataset))]
        if len(slices) < frames:
            slices *= frames
        if frames > 1:  # Siemens takes mosaics apart, and leaves the word in the image type
            slices = [replace(one, mosaic=None) for one in slices]
        return [
            replace(one, frame=at, frames=frames, misnamed=misnamed)
            for at, one in enumerate(slices)
        ]


def _syntax(path: Path, dataset: FileDataset) -> UID:
    """The transfer syntax, which must be one that can be decoded."""
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or "1.2.840.10008.1.2"))
    check_syntax(syntax, path)
    return syntax


def _slice(
    path: Path,
    dataset: FileDataset,
    written: tuple[UID, bool],
    header_bytes: int,
    frame: Frame,
    first: Frame,
) -> Slice:
    syntax, implicit = written
    modality = str(value(dataset, "Modality") or "")
    bits_allocated = whole(dataset, "BitsAllocated") or 16
    bits_stored = whole(dataset, "BitsStored") or bits_allocated
    signed = bool(whole(dataset, "PixelRepresentation"))
    if 0 in (frame.line[0], first.line[0]):
        text = "the rescale slope is 0, which makes all voxels equal"
        advice = "Repair the tag RescaleSlope."
        raise InputError("E_UNREADABLE", text, path=str(path), advice=advice)
    return Slice(
        path=str(path),
        frame=0,
        frames=1,
        header_bytes=header_bytes + (8 if implicit else 12),
        series=str(dataset.get("SeriesInstanceUID") or ""),
        modality=modality,
        rows=whole(dataset, "Rows"),
        columns=whole(dataset, "Columns"),
        position=frame.numbers("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=frame.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6),
        pixel_spacing=frame.numbers("PixelMeasuresSequence", "PixelSpacing", 2),
        claimed_step=frame.claimed_step,
        line=frame.line,
        file_line=first.line,
        table=table_of(dataset, signed=signed, big_endian=not syntax.is_little_endian),
        kind=frame.kind(modality),
        settings=frame.settings,
        dimensions=frame.dimensions,
        mosaic=mosaic_of(dataset) if frame.mosaic else None,
        photometric=str(dataset.get("PhotometricInterpretation") or ""),
        samples=whole(dataset, "SamplesPerPixel") or 1,
        bits_allocated=bits_allocated,
        bits_stored=bits_stored,
        high_bit=whole(dataset, "HighBit", bits_stored - 1),
        signed=signed,
        padding=padding_in(dataset, bits_allocated, signed=signed),
        overlay=bool(dataset.get(_OVERLAY_BIT)),
        lossy=str(value(dataset, "LossyImageCompression") or "") == "01" or is_lossy(syntax),
        syntax=name_of(syntax),
        compressed=syntax.is_compressed,
        implicit=implicit,
        big_endian=not syntax.is_little_endian,
        number=number(dataset, "InstanceNumber"),
        vendor_b=b_value_behind(dataset) if modality == "MR" else None,
        deflated=syntax.is_deflated,
        decoder=decoder_of(syntax),
        offsets=offsets_in(dataset) if syntax.is_compressed else None,
    )
