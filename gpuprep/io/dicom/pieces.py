"""Compressed frames, and the pieces that they lie in: which piece belongs to which frame.

A frame may lie in several pieces (items), in file order (PS3.5, A.4). Where each begins is told by one of two
tables of offsets, both optional, and by the streams themselves. Of files with several frames GDCM takes every
piece for a frame, and it opens none with an extended table (PS3.3, C.7.6.3.1.8).
"""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pydicom.uid import RLELossless

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.streams import JPEG_2000
from gpuprep.io.hashed import open_regular
from gpuprep.values.errors import InputError

_ITEM = 0xE000
_END = 0xE0DD
_HEAD = struct.Struct("<HHI")
_BEGINNINGS = (b"\xff\xd8\xff", JPEG_2000, b"\0\0\0\x0cjP  ")
"""Of JPEG and JPEG-LS, of JPEG 2000, and of its own file format, which some writers put in."""
_FIRST_PLANE = 64  # where run lengths begin, behind a head of as many bytes (PS3.5, G.5)


class Piece(NamedTuple):
    """Where the bytes of an item begin in the file, and how many they are."""

    at: int
    length: int


class Chain(NamedTuple):
    """The items of a file: the table of offsets, then the pieces; ``end`` is where the chain ends.

    A table of more ``entries`` than there are pieces is not looked at.
    """

    entries: int
    table: tuple[int, ...]
    pieces: list[Piece]
    end: int


def damaged_pixels(code: str, one: Slice, reason: str) -> InputError:
    text = f"the pixels ({one.syntax}) are damaged: {reason}"
    return InputError(code, text, path=one.path, advice="Copy or export the file again.")


def chain_of(file: io.IOBase, size: int, one: Slice) -> Chain:
    """All items of a compressed file, of which only the heads are read.

    Raises:
        InputError: E_TRUNCATED if they do not end, or are fewer than the frames; E_UNREADABLE if there is
            something between them.
    """
    at, items = one.header_bytes, []
    while True:
        group, element, length = _head(file, at, size, one)
        at += _HEAD.size
        if (group, element) == (0xFFFE, _END):
            break
        if (group, element) != (0xFFFE, _ITEM):
            raise damaged_pixels("E_UNREADABLE", one, f"there is no item at byte {at:,}")
        items.append(Piece(at, length))
        at += length
    if len(items) <= one.frames:
        pieces = f"{max(0, len(items) - 1)} compressed pieces for {one.frames} frames"
        raise damaged_pixels("E_TRUNCATED", one, pieces)
    entries = items[0].length // 4
    file.seek(items[0].at)
    table = _numbers(file.read(items[0].length), "I") if entries < len(items) else ()
    return Chain(entries, table, items[1:], at)


def _head(file: io.IOBase, at: int, size: int, one: Slice) -> tuple[int, int, int]:
    file.seek(at)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise damaged_pixels(
            "E_TRUNCATED", one, f"the chain of items has no end in all {size:,} bytes"
        )
    group, element, length = _HEAD.unpack(head)
    return group, element, length


def frames_in(file: io.IOBase, chain: Chain, one: Slice) -> list[list[Piece]]:
    """The pieces of each frame: by the extended table, the basic one, or where streams begin.

    A basic table that fits nothing is passed over where there is one piece a frame, as every reader does.

    Raises:
        InputError: E_UNREADABLE if tables, pieces and streams disagree.
    """
    pieces, frames = chain.pieces, one.frames
    if one.offsets is not None:
        return [[piece] for piece in _as_extended(chain, one)]
    if len(pieces) == frames:
        _check_order(chain, one)
        return [[piece] for piece in pieces]
    starts = [number for number, piece in enumerate(pieces) if _begins_stream(file, piece, one)]
    if frames == 1 and starts in ([], [0]):
        return [pieces]
    if chain.entries:
        _check_basic(chain, starts, one)
    elif len(starts) != frames or starts[0] != 0:
        held = f"{len(pieces)} pieces hold {len(starts)} streams for {_counted(frames)}"
        raise damaged_pixels(
            "E_UNREADABLE", one, f"{held}, and no table of offsets tells them apart"
        )
    return [pieces[start:end] for start, end in pairwise([*starts, len(pieces)])]


def _places(chain: Chain) -> dict[int, int]:
    """The number of each piece by its offset, which counts from the first one's item."""
    first = chain.pieces[0].at
    return {piece.at - first: number for number, piece in enumerate(chain.pieces)}


def _check_basic(chain: Chain, starts: list[int], one: Slice) -> None:
    """The table must have the frames begin where streams do."""
    places, frames = _places(chain), one.frames
    if chain.entries != frames:
        held = f"{chain.entries:,} entries for {frames} frames in {len(chain.pieces)} pieces"
        raise _disagree(one, f"has {held}")
    for number, offset in enumerate(chain.table):
        if offset not in places:
            raise _disagree(one, f"has frame {number} at byte {offset:,}, where no piece is")
        if places[offset] not in starts:
            raise _disagree(one, f"has frame {number} at byte {offset:,}, in the midst of a stream")
    _check_order(chain, one)
    if not len(starts) == len(set(chain.table)) == frames:
        held = f"{len(starts)} streams begin in the {len(chain.pieces)} pieces"
        raise _disagree(one, f"has frames at {len(set(chain.table))} places, where {held}")


def _check_order(chain: Chain, one: Slice) -> None:
    """A table that has every frame at a piece of its own must have them in file order."""
    told = chain.table
    if (
        set(told) <= set(_places(chain))
        and len(set(told)) == one.frames
        and list(told) != sorted(told)
    ):
        raise _disagree(one, "has its frames in another order than they lie in")


def _as_extended(chain: Chain, one: Slice) -> list[Piece]:
    """The one piece of each frame: the extended table knows no frames of several."""
    assert one.offsets is not None
    told, lengths = (_numbers(held, "Q") for held in one.offsets)
    pieces, places = chain.pieces, _places(chain)
    if not len(told) == len(lengths) == one.frames == len(pieces):
        held = f"{len(told)} offsets and {len(lengths)} lengths for {one.frames} frames"
        raise _disagree(one, f"has {held} in {len(pieces)} pieces")
    for number, (offset, length) in enumerate(zip(told, lengths, strict=True)):
        if places.get(offset) != number:
            where = (
                f"the piece there is of frame {places[offset]}"
                if offset in places
                else "no piece is"
            )
            raise _disagree(one, f"has frame {number} at byte {offset:,}, where {where}")
        if length not in (pieces[number].length, pieces[number].length - 1):  # one may be a padding
            found = f"of {length:,} bytes, where its piece has {pieces[number].length:,}"
            raise _disagree(one, f"has frame {number} {found}")
    return pieces


def _counted(frames: int) -> str:
    return "1 frame" if frames == 1 else f"{frames} frames"


def _numbers(held: bytes, kind: str) -> tuple[int, ...]:
    whole = len(held) // struct.calcsize(kind) * struct.calcsize(kind)
    return tuple(each for (each,) in struct.iter_unpack(f"<{kind}", held[:whole]))


def _begins_stream(file: io.IOBase, piece: Piece, one: Slice) -> bool:
    """Whether a stream begins with a piece: no bytes within one are like those of a beginning."""
    file.seek(piece.at)
    if one.syntax == RLELossless.name:
        planes = one.samples * one.bits_allocated // 8
        return file.read(8) == struct.pack("<2I", planes, _FIRST_PLANE)
    return file.read(8).startswith(_BEGINNINGS)


def _disagree(one: Slice, reason: str) -> InputError:
    named = "table of offsets" if one.offsets is None else "extended table of offsets"
    return damaged_pixels("E_UNREADABLE", one, f"the {named} {reason}")


def joined_frames(one: Slice) -> list[bytes]:
    """The compressed bytes of every frame of a file, its pieces put together."""
    with open_regular(Path(one.path)) as file:
        size = file.seek(0, io.SEEK_END)
        return [
            b"".join(_bytes(file, piece) for piece in frame)
            for frame in frames_in(file, chain_of(file, size, one), one)
        ]


def is_simple(one: Slice) -> bool:
    """Whether GDCM finds the frames of a file by itself: a frame, or a piece for each."""
    if one.offsets is not None or one.frames == 1:
        return one.offsets is None
    with open_regular(Path(one.path)) as file:
        return len(chain_of(file, file.seek(0, io.SEEK_END), one).pieces) == one.frames


def _bytes(file: io.IOBase, piece: Piece) -> bytes:
    file.seek(piece.at)
    held: bytes = file.read(piece.length)
    return held
