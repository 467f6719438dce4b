"""A stand-in for the part of nvCOMP 6 that gpuprep uses: zstd on the CPU, behind what a stream has queued.

It works over the CUDA stand-in. ``tests/training/test_decode_device.py`` holds the names against the real
library.
"""

from __future__ import annotations

import ctypes
import types
from collections.abc import Callable
from typing import Any

import numcodecs.zstd
import numpy as np
from device.cpucuda.machine import Machine

Piece = tuple[int, int]  # address and size in bytes, of device memory


class Codec:
    """As ``nvidia.nvcomp.Codec``, with zstd on the CPU."""

    def __init__(self, *, algorithm: str, bitstream_kind: str, cuda_stream: int) -> None:
        assert (algorithm, bitstream_kind) == ("Zstd", "raw")
        self._stream = cuda_stream

    def decode(self, src: list[Piece], *, out: list[Piece]) -> list[Piece]:
        def work() -> None:
            for (frame, length), (place, size) in zip(src, out, strict=True):
                encoded = ctypes.string_at(frame, length)
                numcodecs.zstd.decompress(encoded, _bytes_at(place, size))

        Machine().on_stream(self._stream, work)
        return out


def _bytes_at(address: int, size: int) -> np.ndarray:
    return np.frombuffer((ctypes.c_char * size).from_address(address), np.uint8)


def nvcomp_stand_in() -> types.ModuleType:
    """The part of nvCOMP 6 that is used."""

    def as_arrays(buffer: Any, offsets: Any, sizes: Any, cuda_stream: int) -> list[Piece]:
        assert cuda_stream
        assert not any(offset % 16 for offset in offsets)
        first, total = buffer.data.ptr, buffer.nbytes
        assert all(o + n <= total for o, n in zip(offsets, sizes, strict=True))
        return [(first + o, n) for o, n in zip(offsets, sizes, strict=True)]

    made = types.ModuleType("nvidia.nvcomp")
    kinds = types.SimpleNamespace(RAW="raw")
    made.__dict__.update(Codec=Codec, BitstreamKind=kinds, as_arrays=as_arrays)
    return made


def reader_on(stream: Any) -> Callable[[Any], np.ndarray]:
    """What a training library does: takes a CuPy array over by DLPack, and reads it on its own stream."""
    import cupy

    def read(array: Any) -> np.ndarray:
        capsule = array.__dlpack__(stream=stream.ptr)
        memory = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(max(1, array.nbytes)), 0)
        out = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        array.data.copy_to_host_async(out.ctypes.data, out.nbytes, stream)
        del capsule
        return out

    return read
