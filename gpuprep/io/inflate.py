"""Inflating a whole stream in one call of libdeflate, which is faster than ISA-L's piece by piece.

libdeflate has no streams: it takes all of the file and gives all of its contents, so both are in memory.
The wheel ``deflate`` brings it. Its Python functions give new memory for each result, so the C functions of
the same library are called, with the caller's. Where they are missing everything goes through ISA-L.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_PACKED = 256 << 20
"""Bytes of a file that is inflated at once; larger ones are not worth the memory."""

_GZIP_HEADER, _GZIP_TRAILER = 10, 8  # bytes
_HEADER_SUM = 0x02  # a flag of gzip: libdeflate does not compare the checksum of the header


def inflate_whole(packed: NDArray[np.uint8], place: int, size: int, *, gzip: bool) -> bool:
    """Inflate a gzip or zlib stream to the address ``place``; whether it gave exactly ``size`` bytes.

    Its checksum holds then, and gzip has no second member and nothing behind the first. Otherwise the bytes
    at ``place`` are worth nothing, and a reader of streams is to say what is wrong, if anything is.
    """
    library = _library()
    if library is None or (gzip and not _is_one_member(packed, size)):
        return False
    taken, given = ctypes.c_size_t(), ctypes.c_size_t()
    ends = ctypes.byref(taken), ctypes.byref(given)
    inflate = (
        library.libdeflate_gzip_decompress_ex if gzip else library.libdeflate_zlib_decompress_ex
    )
    decompressor = library.libdeflate_alloc_decompressor()
    if not decompressor:
        return False
    try:
        failed = inflate(decompressor, packed.ctypes.data, packed.nbytes, place, size, *ends)
    finally:
        library.libdeflate_free_decompressor(decompressor)
    return not failed and given.value == size and (taken.value == packed.nbytes or not gzip)


def _is_one_member(packed: NDArray[np.uint8], size: int) -> bool:
    """Whether the length at the end of a file is ``size``; cheap, and wrong for few others."""
    if packed.nbytes < _GZIP_HEADER + _GZIP_TRAILER or packed[3] & _HEADER_SUM:
        return False
    return int.from_bytes(packed[-4:].tobytes(), "little") == size % (1 << 32)


@cache
def _library() -> Any:
    """The C library, or None where it is not installed."""
    try:
        from deflate import _deflate

        library = ctypes.CDLL(_deflate.__file__)
        size, address = ctypes.c_size_t, ctypes.c_void_p
        library.libdeflate_alloc_decompressor.restype = address
        library.libdeflate_alloc_decompressor.argtypes = []
        library.libdeflate_free_decompressor.restype = None
        library.libdeflate_free_decompressor.argtypes = [address]
        for inflate in (
            library.libdeflate_gzip_decompress_ex,
            library.libdeflate_zlib_decompress_ex,
        ):
            inflate.restype = ctypes.c_int
            inflate.argtypes = [address, address, size, address, size, address, address]
    except (ImportError, OSError, AttributeError):
        return None
    return library
