"""Uncompressed pixels of one slice, straight out of the file: no decoder has a say in what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.integrity import open_regular
from gpuprep.values.errors import InputError


def is_native(one: Slice) -> bool:
    """Whether pixels are plain words; those of 8 bits may be swapped in pairs where words are big-endian."""
    return not one.compressed and not (one.big_endian and one.bits_allocated == 8)


def native_bytes(one: Slice) -> bytes:
    """The pixels of a native slice as they lie in the file.

    Raises:
        InputError: E_TRUNCATED if the file ends before them.
    """
    needed = one.rows * one.columns * one.samples * one.bits_allocated // 8
    with open_regular(Path(one.path)) as file:
        file.seek(one.header_bytes + one.frame * needed)
        held = file.read(needed)
    if len(held) != needed:
        text = f"frame {one.frame} has {len(held):,} of {needed:,} bytes"
        raise InputError("E_TRUNCATED", text, path=one.path, advice="Copy the file again.")
    return held


def native_pixels(one: Slice) -> tuple[NDArray[Any], int]:
    """Stored pixels ``y, x`` of a native slice, and how many of them use bits that are declared unused.

    A pixel is the ``bits_stored`` bits that end at ``high_bit`` (PS3.5, 8.1.1). The bits above are
    zeros, or copies of the sign.
    """
    order = ">" if one.big_endian else "<"
    stored = np.dtype(f"{order}{'i' if one.signed else 'u'}{one.bits_allocated // 8}")
    words = np.frombuffer(native_bytes(one), stored).reshape(one.rows, one.columns)
    words = words.astype(stored.newbyteorder("="), copy=False)
    above = one.bits_allocated - 1 - one.high_bit
    below = one.high_bit + 1 - one.bits_stored
    if above == below == 0:
        return words, 0
    pixels = (words << above) >> (above + below)
    used = words != pixels << below
    if one.signed:
        used &= words >> (one.high_bit + 1) != 0
    return pixels, int(np.count_nonzero(used))
