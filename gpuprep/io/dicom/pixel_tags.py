"""What the tags of a file say of its stored pixels, beside their bits: where they are, and their padding."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from gpuprep.io.dicom.deflated import open_plain
from gpuprep.io.dicom.header import value

_PIXEL_VRS = (b"OB", b"OW", b"UN", b"OF", b"OD")


def is_implicit(path: Path, pixels: int, syntax: UID) -> bool:
    """Whether the pixels' element has no VR, by its own bytes: some files are not in the syntax they name.

    A length is even, so that it is no VR of pixels.
    """
    with open_plain(path) as file:
        file.seek(pixels)
        head = file.read(6)
    return bool(syntax.is_implicit_VR) if len(head) < 6 else head[4:] not in _PIXEL_VRS


def offsets_in(dataset: Dataset) -> tuple[bytes, bytes] | None:
    """The extended table of offsets, and that of lengths, as stored; None without them."""
    found = [
        value(dataset, keyword, "bytes") or b""
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
    ]
    starts, lengths = (each if isinstance(each, bytes) else b"" for each in found)
    return (starts, lengths) if starts or lengths else None


def padding_in(dataset: Dataset, bits: int, *, signed: bool) -> tuple[int, int] | None:
    """The range of padding, of the sign of the pixels: writers often declare −2000 as 63536."""
    declared = value(dataset, "PixelPaddingValue", "a number")
    if not isinstance(declared, int | float):
        return None
    limit = value(dataset, "PixelPaddingRangeLimit", "a number")
    ends = [int(declared), int(limit) if isinstance(limit, int | float) else int(declared)]
    lowest = -(1 << (bits - 1)) if signed else 0
    low, high = sorted((end - lowest) % (1 << bits) + lowest for end in ends)
    return low, high
