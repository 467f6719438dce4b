"""What a compressed frame says of its own size, against the file's header: decoders believe the header.

GDCM fills rows and columns of the header from a JPEG-LS or RLE frame of another size, row after row: the
picture comes out cut or sheared, and without a word. The sizes are in the first bytes of a frame.
"""

from __future__ import annotations

import io
import struct

from pydicom.uid import RLELossless

from gpuprep.io.dicom.slice import Slice
from gpuprep.values.errors import InputError

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
"""JPEG markers (ISO 10918-1, B.1.1.3) before precision, rows and columns; F7 is that of JPEG-LS."""
_MOST_SEGMENTS = 100


def check_stream(file: io.BufferedReader, at: int, one: Slice) -> None:
    """Check the frame, or piece of one, that begins at byte ``at``; other pieces than first are passed.

    Raises:
        InputError: E_UNREADABLE if it declares another size than the file's header.
    """
    file.seek(at)
    start = file.read(26)
    if one.syntax == RLELossless.name:
        expected = one.samples * one.bits_allocated // 8
        found = int.from_bytes(start[:4], "little")
        if found != expected:
            raise _differs(one, f"{found} planes of bytes", f"{expected}")
    elif start.startswith(_JPEG_2000) and len(start) == 26:
        right, bottom, left, top = struct.unpack_from(">4I", start, 8)
        _compare(one, bottom - top, right - left)
    elif start.startswith(_JPEG):
        file.seek(at + len(_JPEG))
        if size := _jpeg_size(file):
            _compare(one, *size)


def _jpeg_size(file: io.BufferedReader) -> tuple[int, int] | None:
    """Rows and columns; None if no frame header is found, or its rows come after the scan."""
    for _ in range(_MOST_SEGMENTS):
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF or segment[1] == 0xFF:
            return None
        if segment[1] in _FRAME_HEADERS:
            size = file.read(5)
            rows, columns = struct.unpack(">HH", size[1:].ljust(4, b"\0"))
            return (rows, columns) if rows and columns else None
        file.seek(int.from_bytes(segment[2:], "big") - 2, io.SEEK_CUR)
    return None


def _compare(one: Slice, rows: int, columns: int) -> None:
    if (rows, columns) != (one.rows, one.columns):
        raise _differs(one, f"{rows}×{columns} pixels", f"{one.rows}×{one.columns}")


def _differs(one: Slice, found: str, declared: str) -> InputError:
    return InputError(
        "E_UNREADABLE",
        f"a frame compressed as {one.syntax} has {found}, the header declares {declared}",
        path=one.path,
        advice="Export the file again.",
    )
