"""Is a DICOM file as long, and its frames as large, as its header says? Nothing is decoded for the answer.

GDCM decodes what is there of a broken chain of compressed items and gives zeros for the rest, takes gigabytes
for an element behind the pixels whose length is junk, and fills rows and columns of the header from a JPEG-LS
or RLE frame of another size, so that the picture comes out cut or sheared: all are found here, before.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

from pydicom.uid import JPEG2000MC, JPEG2000MCLossless, RLELossless

from gpuprep.io.dicom.deflated import MOST_AROUND, open_plain
from gpuprep.io.dicom.header import damaged
from gpuprep.io.dicom.pieces import chain_of, damaged_pixels, frames_in
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.streams import JPEG_2000, stream_at
from gpuprep.io.limits import check_capacity
from gpuprep.values.errors import InputError

_PART_2 = b"\x80"
"""Of the upper byte of the capabilities that a JPEG 2000 stream asks for (ISO 15444-2, A.2.1)."""
_PART_2_SYNTAXES = frozenset({JPEG2000MC.name, JPEG2000MCLossless.name})

_FLOATS = frozenset({(0x7FE0, 0x0008), (0x7FE0, 0x0009)})
_BLOCK = 1 << 20
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
"""Value representations whose length takes four bytes behind two that are unused (PS3.5, 7.1.2)."""


def check_length(one: Slice) -> None:
    """Check the file of ``one`` from its pixels to its end.

    Raises:
        InputError: E_TRUNCATED if it ends early, or holds fewer compressed items than frames, or too few
            bytes for the pixels that the header declares; E_UNREADABLE if it is no chain of elements,
            or a compressed frame is of another size.
    """
    needed = one.frames * one.rows * one.columns * one.samples * one.bits_allocated // 8
    if one.deflated:
        check_capacity(one.path, needed, Path(one.path).stat().st_size, deflated=True)
    with open_plain(Path(one.path), needed + MOST_AROUND) as file:
        size = file.seek(0, io.SEEK_END)
        if one.compressed:
            chain = chain_of(file, size, one)
            for first, *_ in frames_in(file, chain, one):
                if first.length:
                    _check_stream(file, first.at, one)
            end = chain.end
            check_capacity(one.path, needed, size, deflated=True)
        else:
            _check_element(file, one)
            check_capacity(one.path, needed, max(0, size - one.header_bytes))
            declared = _declared(file, one)
            _check_excess(file, needed + needed % 2, declared, one)
            end = one.header_bytes + max(needed, declared)
        _check_rest(file, end + end % 2, size, one)


def _check_element(file: io.IOBase, one: Slice) -> None:
    """Refuse pixels in the elements of those that are floats: they would be taken for whole numbers."""
    file.seek(one.header_bytes - (8 if one.implicit else 12))
    group, element = struct.unpack(">HH" if one.big_endian else "<HH", file.read(4).ljust(4, b"\0"))
    if (group, element) in _FLOATS:
        text = f"pixels are floats of {one.bits_allocated} bits, as only parametric maps have them"
        raise InputError("E_PIXEL_TYPE", text, path=one.path, advice="Convert the series.")


def _declared(file: io.IOBase, one: Slice) -> int:
    """The length of the pixel element, which may hold more than the pixels."""
    file.seek(one.header_bytes - 4)
    length = int.from_bytes(file.read(4), "big" if one.big_endian else "little")
    if length == _UNDEFINED:
        raise damaged_pixels("E_UNREADABLE", one, "they lie in items, as only compressed pixels do")
    return length


def _check_excess(file: io.IOBase, needed: int, declared: int, one: Slice) -> None:
    """Pixels beyond those that the header counts mean that it counts wrongly; zeros are padding."""
    file.seek(one.header_bytes + needed)
    left = declared - needed
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        if block.strip(b"\0"):
            size = f"{one.frames}×{one.rows}×{one.columns} pixels of {one.bits_allocated} bits"
            text = f"{declared:,} bytes hold more than the {needed:,} of {size}"
            raise damaged_pixels("E_UNREADABLE", one, text)
        left -= len(block)


def _check_rest(file: io.IOBase, at: int, size: int, one: Slice) -> None:
    """Elements behind the pixels must end with the file; zeros that fill it up are none."""
    while at < size:
        file.seek(at)
        head = file.read(12)
        if not head.strip(b"\0"):
            return
        length, width = _element(head, one)
        if length == _UNDEFINED:
            return
        at += width + length
        if at > size:
            text = f"an element behind the pixels ends at byte {at:,}, but the file at {size:,}"
            raise damaged_pixels("E_UNREADABLE", one, text)


def _element(head: bytes, one: Slice) -> tuple[int, int]:
    """The length of an element's value, and of what is before it."""
    order = ">" if one.big_endian else "<"
    if one.implicit:
        return int(struct.unpack_from("<I", head.ljust(8, b"\0"), 4)[0]), 8
    if head[4:6] in _LONG:
        return int(struct.unpack_from(f"{order}I", head.ljust(12, b"\0"), 8)[0]), 12
    return int(struct.unpack_from(f"{order}H", head.ljust(8, b"\0"), 6)[0]), 8


def _check_stream(file: io.IOBase, at: int, one: Slice) -> None:
    """Compare the size that the frame at byte ``at`` declares."""
    file.seek(at)
    start = file.read(7)
    if one.syntax == RLELossless.name:
        expected = one.samples * one.bits_allocated // 8
        found = int.from_bytes(start[:4], "little")
        if found != expected:
            raise _differs(one, f"{found} planes of bytes", f"{expected}")
        return
    if start.startswith(JPEG_2000) and start[6:7] >= _PART_2 and one.syntax in _PART_2_SYNTAXES:
        text = "its streams use extensions of part 2 of JPEG 2000, for which there is no decoder"
        raise InputError("E_UNREADABLE", text, path=one.path, advice="Export it as JPEG 2000.")
    stream = stream_at(file, at)
    if stream is None:
        return
    if stream.rows and stream.columns:
        _compare(one, stream.rows, stream.columns)
    if stream.bits > one.bits_allocated:
        raise _differs(one, f"pixels of {stream.bits} bits", f"{one.bits_allocated}")


def _compare(one: Slice, rows: int, columns: int) -> None:
    if (rows, columns) != (one.rows, one.columns):
        raise _differs(one, f"{rows}×{columns} pixels", f"{one.rows}×{one.columns}")


def _differs(one: Slice, found: str, declared: str) -> InputError:
    text = f"a frame compressed as {one.syntax} has {found}, the header declares {declared}"
    return damaged(one.path, text)
