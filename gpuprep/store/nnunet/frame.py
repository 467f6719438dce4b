"""Blosc2's file of an n-dimensional array: a header, its compressed chunks, where they lie, a trailer.

Header and trailer are those that blosc2 gives an empty array of the same kind. The rest is put together here,
so that a disk that refuses is told as for every other file, and a file has the same bytes every time.

Source: the Blosc2 contiguous frame format, and B2ND's layout of chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from gpuprep.values.errors import StoreError

_HEADER_LENGTH, _FRAME_LENGTH = slice(11, 15), slice(16, 24)
_STORED_BYTES = slice(39, 47)  # of all chunks
_TRAILER_LENGTH = slice(-22, -18)
_FLAGS = 31  # of a chunk; bits 4 to 6 are 1 where all its voxels are zero
_ZEROS = 1 << 63 | 1 << 56  # such a chunk is told by its entry of the list alone
_LIST_BLOCK = 16 << 10


def frame(blosc2: ModuleType, empty: bytes, chunks: Sequence[bytes]) -> list[bytes]:
    """The pieces of a file.

    Args:
        blosc2: The package.
        empty: The frame of an empty array of the same shape, chunks, blocks, dtype and codec.
        chunks: Each compressed, in their order.

    Raises:
        StoreError: this blosc2 has a format of its own.
    """
    length = int.from_bytes(empty[_HEADER_LENGTH], "big")
    trailer = empty[-int.from_bytes(empty[_TRAILER_LENGTH], "big") :]
    known = empty[1:10] == b"\xa8b2frame\0" and int.from_bytes(empty[_FRAME_LENGTH], "big") == len(
        empty
    )
    if not known or not 0 < length < len(empty) > len(trailer):
        raise StoreError(
            f"blosc2 {blosc2.__version__} writes files in a format that is not known here",
            advice="pip install 'blosc2<5'",
        )
    places, stored = [], []
    offset = 0
    for chunk in chunks:
        if chunk[_FLAGS] >> 4 & 7 == 1:
            places.append(_ZEROS)
            continue
        places.append(offset)
        stored.append(chunk)
        offset += len(chunk)
    listed = _compressed_list(blosc2, places)
    header = bytearray(empty[:length])
    header[_FRAME_LENGTH] = struct.pack(">Q", length + offset + len(listed) + len(trailer))
    header[_STORED_BYTES] = struct.pack(">q", offset)
    return [bytes(header), *stored, listed, trailer]


def _compressed_list(blosc2: ModuleType, places: Sequence[int]) -> bytes:
    """Where each chunk begins, compressed as blosc2 does it."""
    filters = [blosc2.Filter.NOFILTER] * 5 + [blosc2.Filter.SHUFFLE]
    packed: bytes = blosc2.compress2(
        np.array(places, "<u8").tobytes(),
        codec=blosc2.Codec.BLOSCLZ,
        clevel=5,
        filters=filters,
        splitmode=blosc2.SplitMode.NEVER_SPLIT,
        blocksize=_LIST_BLOCK,
        typesize=8,
        nthreads=1,
    )
    return packed
