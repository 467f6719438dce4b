"""What compressed frames say of their own pixels: size, bits and sign, where the header may say otherwise.

A decoder does not compare the two. Of a JPEG or JPEG-LS stream of more bits than the header declares, GDCM
cuts the upper ones off; of one of fewer bits it takes the sign from the one or from the other.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import NamedTuple

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.hashed import open_regular

JPEG_2000 = b"\xff\x4f\xff\x51"
_JPEG = b"\xff\xd8"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG markers (ISO 10918-1, B.1.1.3) before precision, rows and columns; F7 is that of JPEG-LS."""
_MOST_SEGMENTS = 100
_SIZES = 43  # bytes of JPEG 2000 up to the bits of the first component (ISO 15444-1, A.5.1)
_ITEM_HEAD = 8


class Stream(NamedTuple):
    """A frame as its stream has it; 0 rows and columns where they are not told at its start."""

    rows: int
    columns: int
    bits: int
    signed: bool


def stream_at(file: io.IOBase, at: int) -> Stream | None:
    """The JPEG, JPEG-LS or JPEG 2000 stream that begins at a byte; None where none does."""
    file.seek(at)
    start = file.read(_SIZES)
    if start.startswith(JPEG_2000) and len(start) == _SIZES:
        right, bottom, left, top = struct.unpack_from(">4I", start, 8)
        bits = start[_SIZES - 1]
        return Stream(bottom - top, right - left, (bits & 0x7F) + 1, signed=bits > 0x7F)
    return _jpeg(file, at + len(_JPEG)) if start.startswith(_JPEG) else None


def first_stream(one: Slice) -> Stream | None:
    """That of the first frame of the file of a slice, behind the table of offsets."""
    if not one.compressed:
        return None
    with open_regular(Path(one.path)) as file:
        file.seek(one.header_bytes)
        table = int.from_bytes(file.read(_ITEM_HEAD)[4:], "little")
        return stream_at(file, one.header_bytes + table + 2 * _ITEM_HEAD)


def is_of_more_bits(stream: Stream | None, one: Slice) -> bool:
    """Whether a stream has bits above those that the header declares: nothing may be in them."""
    return stream is not None and stream.bits > one.bits_stored


def has_doubtful_sign(stream: Stream | None, one: Slice) -> bool:
    """Whether the upper half of a stream's numbers is negative by its header alone, or by itself alone."""
    if stream is None:
        return False
    return stream.signed > one.signed or (
        one.signed and not stream.signed and stream.bits < one.bits_stored
    )


def _jpeg(file: io.IOBase, at: int) -> Stream | None:
    file.seek(at)
    for _ in range(_MOST_SEGMENTS):
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] == 0xFF:
            return None
        if segment[1] in _FRAME_HEADERS:
            told = file.read(5)
            if len(told) < 5:
                return None
            bits, rows, columns = struct.unpack(">BHH", told)
            return Stream(rows, columns, bits, signed=False)
        file.seek(int.from_bytes(segment[2:], "big") - 2, io.SEEK_CUR)
    return None
