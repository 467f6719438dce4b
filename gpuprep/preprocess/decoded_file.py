"""Arrays and words in one file that is quick to write and quick to read again: what a decoded case lies in.

The file holds the pieces of every array, each a Blosc buffer (LZ4 of shuffled bytes), then the words as JSON
with the CRC32C of every piece, and at its very end the length and the CRC32C of these words. Nothing in it is
ever executed, and every byte is compared with its sum before it counts.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any

import google_crc32c
import numcodecs.blosc
import numpy as np
from numpy.typing import NDArray

from gpuprep.host.ordered import ordered_map
from gpuprep.store.codecs import bytes_codec, find_decoder
from gpuprep.values.geometry import Reorientation

_PIECE = 1 << 20  # bytes of voxels
_BLOCK = 64 << 10
_SHUFFLES = (numcodecs.blosc.NOSHUFFLE, numcodecs.blosc.SHUFFLE)
_END = struct.Struct("<QI12s")  # length and sum of the words
_MAGIC = b"gpuprep-dc 1"
_MOST_WORDS = 256 << 20  # bytes; a DICOM case of 10,000 slices has 3 MB of them

Allocate = Callable[[tuple[int, ...], "np.dtype[Any]"], NDArray[Any]]


class Damaged(Exception):
    """The file is not what was written."""


def most_bytes(arrays: Sequence[NDArray[Any]]) -> int:
    """What a file of these arrays takes at most, but for its words."""
    return sum(array.nbytes + (array.nbytes // _PIECE + 1) * 64 for array in arrays)


def write_arrays(
    file: IO[bytes], arrays: Sequence[NDArray[Any]], words: Mapping[str, Any], threads: int = 1
) -> None:
    """Write arrays of three axes, in any order of their axes in memory, and what is to be said of them.

    Raises:
        TypeError, ValueError: the words are no JSON, or an array is none of numbers.
    """
    rows = []
    for array in arrays:
        turn, base = in_memory_order(array)
        if array.dtype.kind not in "iufb" or not array.dtype.isnative:
            raise TypeError(f"no array of {array.dtype} is kept")
        pieces = []
        for packed in ordered_map(partial(_pack, base), range(_count(base.nbytes)), threads):
            file.write(packed)
            pieces.append([len(packed), google_crc32c.value(packed)])
        rows.append(
            {
                "dtype": array.dtype.str,
                "shape": base.shape,
                "axes": turn.axes,
                "flips": turn.flips,
                "pieces": pieces,
            }
        )
    text = json.dumps({"words": words, "arrays": rows}, separators=(",", ":")).encode()
    file.write(text)
    file.write(_END.pack(len(text), google_crc32c.value(text), _MAGIC))


def in_memory_order(array: NDArray[Any]) -> tuple[Reorientation, NDArray[Any]]:
    """An array as it lies in memory, C-contiguous, and the turn that makes the same view of it again."""
    z, y, x = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    strides = array.strides
    order = Reorientation((z, y, x), (strides[z] < 0, strides[y] < 0, strides[x] < 0))
    return order.inverse, np.ascontiguousarray(order.view(array))


def read_words(file: IO[bytes]) -> dict[str, Any]:
    """What was said of the arrays, under ``words``, and how these lie, under ``arrays``.

    Raises:
        Damaged: the file is cut, or is another one.
    """
    descriptor = file.fileno()
    size = os.fstat(descriptor).st_size
    end = os.pread(descriptor, _END.size, max(0, size - _END.size))
    if len(end) != _END.size:
        raise Damaged("it is too short")
    length, checksum, magic = _END.unpack(end)
    start = size - _END.size - length
    if magic != _MAGIC or length > _MOST_WORDS or start < 0:
        raise Damaged("it has another end")
    text = os.pread(descriptor, length, start)
    if google_crc32c.value(text) != checksum:
        raise Damaged("its words have another sum")
    tree: dict[str, Any] = json.loads(text)
    if sum(piece for row in tree["arrays"] for piece, _ in row["pieces"]) != start:
        raise Damaged("it has another length")
    return tree


def read_arrays(
    file: IO[bytes], rows: Sequence[Mapping[str, Any]], allocate: Allocate, threads: int = 1
) -> list[NDArray[Any]]:
    """The arrays that ``rows`` describe, lying in memory as those that were written.

    Raises:
        Damaged: a piece has another sum, or another length once decoded.
    """
    found, offset = [], 0
    for row in rows:
        base = allocate(tuple(row["shape"]), np.dtype(row["dtype"]))
        places = list(_places(row["pieces"], offset))
        if len(places) != _count(base.nbytes):
            raise Damaged("it has another number of pieces")
        offset += sum(length for length, _ in row["pieces"])
        for _ in ordered_map(partial(_unpack, file.fileno(), base), places, threads):
            pass
        found.append(Reorientation(tuple(row["axes"]), tuple(row["flips"])).view(base))
    return found


def _places(pieces: Sequence[Sequence[int]], offset: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, offset, length and sum of each piece."""
    starts = itertools.accumulate((length for length, _ in pieces), initial=offset)
    for number, (start, (length, checksum)) in enumerate(zip(starts, pieces, strict=False)):
        yield number, start, length, checksum


def _count(size: int) -> int:
    return math.ceil(size / _PIECE)


def _part(base: NDArray[Any], number: int) -> NDArray[Any]:
    step = _PIECE // base.itemsize
    return base.reshape(-1)[number * step : (number + 1) * step]


def _pack(base: NDArray[Any], number: int) -> bytes:
    piece = _part(base, number)
    shuffle = _SHUFFLES[piece.itemsize > 1]
    packed: bytes = numcodecs.blosc.compress(piece, b"lz4", 1, shuffle, _BLOCK)
    return packed


def _unpack(descriptor: int, base: NDArray[Any], place: tuple[int, int, int, int]) -> None:
    number, start, length, checksum = place
    packed = os.pread(descriptor, length, start)
    if len(packed) != length or google_crc32c.value(packed) != checksum:
        raise Damaged(f"piece {number} has another sum")
    decode = find_decoder(
        [bytes_codec(base.dtype), {"name": "blosc"}, {"name": "crc32c"}], base.dtype
    )
    try:
        decode(np.frombuffer(packed, np.uint8), _part(base, number))
    except (ValueError, RuntimeError) as error:
        raise Damaged(str(error)) from None
