"""A stand-in for the part of nvCOMP 6 that gpuprep uses, with zstd on the CPU.

``tests/training/test_decode_device.py`` holds the names against the real library.
"""

from __future__ import annotations

import types
from typing import Any

import numcodecs.zstd
import numpy as np


class Codec:
    """As ``nvidia.nvcomp.Codec``, with zstd on the CPU."""

    def __init__(self, *, algorithm: str, bitstream_kind: str, cuda_stream: int) -> None:
        assert (algorithm, bitstream_kind, cuda_stream) == ("Zstd", "raw", 1)

    def decode(self, src: list[Any], *, out: list[Any]) -> list[Any]:
        for frame, place in zip(src, out, strict=True):
            numcodecs.zstd.decompress(np.array(frame), place)
        return out


def nvcomp_stand_in() -> types.ModuleType:
    """The part of nvCOMP 6 that is used."""

    def as_arrays(buffer: Any, offsets: Any, sizes: Any, cuda_stream: int) -> list[Any]:
        assert cuda_stream == 1
        assert not any(offset % 16 for offset in offsets)
        pieces = zip(offsets, sizes, strict=True)
        return [np.asarray(buffer)[first : first + size] for first, size in pieces]

    made = types.ModuleType("nvidia.nvcomp")
    kinds = types.SimpleNamespace(RAW="raw")
    made.__dict__.update(Codec=Codec, BitstreamKind=kinds, as_arrays=as_arrays)
    return made
