"""DICOM segmentations (binary, fractional, label map): frames by their own positions, in one label map."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from gpuprep.io.dicom.deflated import MOST_AROUND, is_deflated, open_plain
from gpuprep.io.dicom.drawn.structures import Choice
from gpuprep.io.dicom.frames import Frame
from gpuprep.io.dicom.header import LABEL_MAP, damaged, parsing
from gpuprep.io.frames_on_grid import Grid, Placed, Planes, placed, report_lost
from gpuprep.io.limits import check_capacity, check_limits
from gpuprep.io.painting import paint, report_overlap
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels
from gpuprep.values.errors import InputError

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
_BITS = (1, 8, 16, 32)
_KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")
_SAME = 1e-4  # what orientations and spacings of frames may differ by


@dataclass(frozen=True, slots=True)
class Segmentation:
    """A segmentation file: its frames in space, and the number of the segment of each (0 of a label map)."""

    dataset: Dataset
    placed: Placed
    segments: tuple[int, ...]
    kind: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        return len(self.segments), int(self.dataset.Rows), int(self.dataset.Columns)


def segmentation(path: Path, reading: Reading, image: Grid | None, *, pixels: bool) -> Segmentation:
    """A segmentation file, its frames placed; with or without their pixels.

    Raises:
        InputError: E_UNREADABLE, E_NO_GEOMETRY, or as ``frames_on_grid.placed``.
    """
    with parsing(path):
        dataset = _held(path, reading, pixels=pixels)
        rows, columns = int(dataset.Rows), int(dataset.Columns)
        groups = dataset.PerFrameFunctionalGroupsSequence
        frames = int(dataset.get("NumberOfFrames") or 0)
        if min(rows, columns) < 1 or frames != len(groups):
            text = (
                f"it declares {frames} frames of {columns}×{rows} pixels, and places {len(groups)}"
            )
            raise damaged(path, text)
        check_limits(path, (1, len(groups), rows, columns), 1, reading.rules)
        kind = str(dataset.get("SegmentationType") or "BINARY").upper()
        if str(dataset.SOPClassUID) == LABEL_MAP:
            kind = "LABELMAP"
        shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        numbers = tuple(0 if kind == "LABELMAP" else _segment(each, shared) for each in groups)
        _check_sound(path, dataset, kind, numbers)
        needed = frames * rows * columns * int(dataset.BitsAllocated) // 8
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        packed = syntax == _DEFLATED_FRAMES or UID(syntax).is_compressed or _is_deflated(path)
        check_capacity(path, needed, path.stat().st_size, deflated=packed)
        planes = _planes(dataset, [Frame(dataset, each, shared) for each in groups], reading)
    return Segmentation(dataset, placed(planes, image, reading), numbers, kind)


def _held(path: Path, reading: Reading, *, pixels: bool) -> Dataset:
    """The data set of a file; a deflated one may give as many pixels as its header explains."""
    with open_plain(path) as file:
        if not (pixels and is_deflated(file)):
            return pydicom.dcmread(file, force=True, stop_before_pixels=not pixels)
        head = pydicom.dcmread(file, force=True, stop_before_pixels=True)
    shape = (int(head.get("NumberOfFrames") or 0), int(head.Rows), int(head.Columns))
    check_limits(path, (1, *shape), 1, reading.rules)
    needed = math.prod(shape) * int(head.get("BitsAllocated") or 0) // 8
    with open_plain(path, needed + MOST_AROUND) as file:
        return pydicom.dcmread(file, force=True)


def _is_deflated(path: Path) -> bool:
    with open_plain(path) as file:
        return is_deflated(file)


def _check_sound(path: Path, dataset: Dataset, kind: str, numbers: tuple[int, ...]) -> None:
    """Refuse pixels that would be taken for others, and frames of segments that nothing describes."""
    bits, samples = int(dataset.get("BitsAllocated") or 0), int(dataset.get("SamplesPerPixel") or 1)
    if kind not in _KINDS:
        raise damaged(path, f"its type is {kind[:60]}, none of {', '.join(_KINDS)}")
    if bits not in _BITS:
        raise damaged(path, f"its pixels have {bits} bits each, where 1, 8, 16 or 32 are read")
    if bits == 1 and kind == "FRACTIONAL":
        raise damaged(path, "its type is FRACTIONAL, and its pixels have 1 bit each")
    if samples != 1:
        raise damaged(path, f"its pixels have {samples} numbers each, where 1 is read")
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        raise damaged(path, "segmentations in big-endian order are not read")
    described = {int(each.SegmentNumber) for each in dataset.get("SegmentSequence") or ()}
    if strange := sorted({number for number in numbers if number} - described):
        raise damaged(path, f"a frame is of segment {strange[0]}, which the file does not describe")


def labelled_frames(
    found: Segmentation, choice: Choice, names: dict[int, str], reading: Reading, out: Voxels
) -> None:
    """Write the values of the structures that are meant into ``out`` ``(z, y, x)``, which is 0.

    Raises:
        InputError: E_LABEL_OVERLAP, unless its policy lets later ones win; E_TRUNCATED, E_UNREADABLE.
    """
    frames = _Pixels(found, Path(reading.path))
    if found.kind == "LABELMAP":
        _paint_numbers(found, frames, choice, reading, out)
        return
    if found.kind == "FRACTIONAL":
        text = f"the segmentation holds fractions up to {frames.largest}; half of that and more is inside"
        reading.report("W_LABEL_FRACTIONAL", text)
    shared: Counter[tuple[int, int]] = Counter()
    lost = 0
    for value, numbers in choice:
        for frame, number in enumerate(found.segments):
            if number not in numbers:
                continue
            pixels = frames.mask(frame)
            place, mask = found.placed.lay(frame, pixels)
            lost += int(pixels.sum()) - int(mask.sum())
            paint(out[place], mask, value, shared)
    report_overlap(shared, names, reading)
    report_lost(lost, reading)


def _paint_numbers(
    found: Segmentation, frames: _Pixels, choice: Choice, reading: Reading, out: Voxels
) -> None:
    largest = np.iinfo(out.dtype).max
    moved = {number: value for value, numbers in choice for number in numbers}
    whole = all(value in numbers and len(numbers) == 1 for value, numbers in choice)
    for frame in range(len(found.segments)):
        pixels = frames.numbers(frame)
        for number in np.unique(pixels[pixels != 0]).tolist():
            value = moved.get(
                number, number if whole else 0
            )  # one that nothing describes is told later
            if value > largest:
                text = f"a voxel has the number {value}, which the file does not describe"
                raise damaged(reading.path, text)
            if value:
                place, mask = found.placed.lay(frame, pixels == number)
                out[place][mask] = value


class _Pixels:
    """The frames of a segmentation, one at a time."""

    def __init__(self, found: Segmentation, path: Path) -> None:
        self._path, self._dataset = path, found.dataset
        frames, self._rows, self._columns = found.shape
        self._size = self._rows * self._columns
        with parsing(path):
            self._bits = int(found.dataset.get("BitsAllocated") or 0)
            self.largest = int(found.dataset.get("MaximumFractionalValue") or 255)
            held = found.dataset.get("PixelData") or b""
        if not isinstance(held, bytes):
            raise damaged(path, "its pixels are no row of bytes")
        self._fractional = found.kind == "FRACTIONAL"
        syntax = found.dataset.file_meta.TransferSyntaxUID
        self._decoded: NDArray[Any] | None = None
        raw = b""
        if str(syntax) == _DEFLATED_FRAMES:
            raw, step = self._inflated(frames)
            self._starts = [frame * step * 8 for frame in range(frames)]
        elif syntax.is_compressed:
            self._decoded = self._decompressed(frames)
            return
        else:
            raw = held
            self._starts = [frame * self._size * self._bits for frame in range(frames)]
        self._bytes = np.frombuffer(raw, np.uint8)
        end = self._starts[-1] + self._size * self._bits if frames else 0
        if len(self._bytes) * 8 < end:
            raise InputError(
                "E_TRUNCATED",
                f"{frames} frames of {self._columns}×{self._rows} pixels need {-(-end // 8):,} bytes, "
                f"but the file holds {len(self._bytes):,}",
                path=str(path),
                advice="Copy or export the file again.",
            )

    def mask(self, frame: int) -> NDArray[np.bool_]:
        """Where the segment of a frame is."""
        pixels = self.numbers(frame)
        return 2 * pixels.astype(np.uint32) >= self.largest if self._fractional else pixels != 0

    def numbers(self, frame: int) -> NDArray[Any]:
        """The stored numbers of a frame, ``(rows, columns)``."""
        if self._decoded is not None:
            return np.asarray(self._decoded[frame])
        start = self._starts[frame]
        shape = self._rows, self._columns
        if self._bits == 1:
            first, last = start // 8, -(-(start + self._size) // 8)
            bits = np.unpackbits(self._bytes[first:last], bitorder="little")
            return bits[start % 8 : start % 8 + self._size].reshape(shape)
        plain = self._bytes[start // 8 : start // 8 + self._size * self._bits // 8]
        return plain.view(f"<u{self._bits // 8}").reshape(shape)

    def _inflated(self, frames: int) -> tuple[bytes, int]:
        """Frames that were deflated one by one, each beginning at a byte."""
        step = -(-self._size * self._bits // 8)
        found = []
        with parsing(self._path):
            pieces = list(generate_frames(self._dataset.PixelData, number_of_frames=frames))
        for piece in pieces:
            try:
                frame = zlib.decompressobj(-15).decompress(piece, step + 1)
            except zlib.error as error:
                raise damaged(self._path, f"a deflated frame is damaged: {error}") from error
            found.append(frame[:step].ljust(step, b"\0") if len(frame) >= step else frame)
        return b"".join(found), step

    def _decompressed(self, frames: int) -> NDArray[Any]:
        with parsing(self._path):
            try:
                array = np.asarray(self._dataset.pixel_array)
            except (NotImplementedError, RuntimeError, AttributeError) as error:
                name = self._dataset.file_meta.TransferSyntaxUID.name
                raise InputError(
                    "E_UNREADABLE",
                    f"there is no decoder for a segmentation in the transfer syntax {name}",
                    path=str(self._path),
                    advice="Export it without compression.",
                ) from error
        if array.dtype.kind == "i":  # numbers of segments have no sign, whatever the header says
            array = array.view(array.dtype.str.replace("i", "u"))
        return array.reshape(frames, self._rows, self._columns)


def _segment(group: Dataset, shared: Dataset) -> int:
    for level in (group, shared):
        if items := level.get("SegmentIdentificationSequence"):
            return int(items[0].ReferencedSegmentNumber)
    return 1


def _planes(dataset: Dataset, frames: list[Frame], reading: Reading) -> Planes:
    positions = [one.numbers("PlanePositionSequence", "ImagePositionPatient", 3) for one in frames]
    axes = [one.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6) for one in frames]
    sizes = [one.numbers("PixelMeasuresSequence", "PixelSpacing", 2) for one in frames]
    if not frames or not all(positions) or not all(axes) or not all(sizes):
        raise reading.error(
            "E_NO_GEOMETRY",
            "a frame of the segmentation has no position, orientation or spacing",
            "Export it with the plane of each frame.",
        )
    if max(np.ptp(axes, axis=0).max(), np.ptp(sizes, axis=0).max()) > _SAME:
        raise reading.error("E_NOT_VOLUME", "frames of the segmentation lie in different planes")
    row, column = np.array(axes[0][:3]), np.array(axes[0][3:])
    down, right = sizes[0]
    if not (np.linalg.norm(row) and np.linalg.norm(column) and down > 0 and right > 0):
        raise reading.error("E_NO_GEOMETRY", "the axes or the spacing of the segmentation are 0")
    between = frames[0].numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
    between = between or frames[0].numbers("PixelMeasuresSequence", "SliceThickness", 1)
    return Planes(
        np.array(positions),
        row / np.linalg.norm(row) * right,
        column / np.linalg.norm(column) * down,
        int(dataset.Rows),
        int(dataset.Columns),
        abs(between[0]) if between else 0.0,
    )
