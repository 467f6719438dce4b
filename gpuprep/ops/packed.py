"""Long rows of numbers as short texts, every bit kept: how records hold the points of large tables.

Neighbours in a row that ascends evenly, or by few different steps, differ by few different numbers if their
bits are taken as integers: deflate makes little of those.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray


def pack(row: NDArray[np.float64]) -> str:
    """A row as Base64 of zlib of the differences between the bits of neighbours, little-endian int64.

    The first difference is to 0.
    """
    bits = np.ascontiguousarray(row, "<f8").view("<i8")
    return base64.b64encode(zlib.compress(np.diff(bits, prepend=0).tobytes())).decode("ascii")


def unpack(text: str, most: int) -> NDArray[np.float64]:
    """What ``pack`` got.

    Raises:
        ValueError: the text is damaged, or of more than ``most`` numbers.
    """
    try:
        inflater = zlib.decompressobj()
        content = inflater.decompress(base64.b64decode(text, validate=True), 8 * most + 1)
    except zlib.error as error:
        raise ValueError(f"a packed row is damaged: {error}") from error
    if len(content) > 8 * most or len(content) % 8 or not inflater.eof:
        raise ValueError("a packed row is cut off, or too long")
    return np.cumsum(np.frombuffer(content, "<i8")).view(np.float64)
