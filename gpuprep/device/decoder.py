"""Many zstd frames decoded at once on a device, by nvCOMP; and the pieces of memory they lie in.

Tests put zstd on the CPU in nvCOMP's place, so that everything around these few calls runs without a GPU.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from gpuprep.values.errors import DeviceLost

_ALIGNMENT = 16  # bytes; nvCOMP asks for no more of any format


@dataclass(slots=True)
class Extents:
    """Pieces of one buffer, each at a multiple of 16 bytes.

    Attributes:
        offsets: Of every piece, in bytes.
        sizes: In bytes.
        end: Bytes of the whole buffer, also a multiple of 16.
    """

    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    end: int = 0

    def add(self, size: int) -> int:
        """Append a piece; returns its offset."""
        offset = self.end
        self.offsets.append(offset)
        self.sizes.append(size)
        self.end = -(-(offset + size) // _ALIGNMENT) * _ALIGNMENT
        return offset


class Decoder(Protocol):
    """Decodes zstd frames on a device; work goes to the current stream."""

    def decode(self, encoded: Any, frames: Extents, decoded: Any, chunks: Extents) -> None:
        """Decode frame k of ``encoded`` to piece k of ``decoded``, which it fills; uint8 on the device."""


class NvcompDecoder:
    """nvCOMP for the current device and stream. It trusts its input: frames are checked before."""

    def __init__(self) -> None:
        """Raises ImportError where nvCOMP or CuPy is missing, RuntimeError where no device answers."""
        import cupy

        self._nvcomp = importlib.import_module("nvidia.nvcomp")
        self._stream = int(cupy.cuda.get_current_stream().ptr)
        self._codec = self._nvcomp.Codec(
            algorithm="Zstd",
            bitstream_kind=self._nvcomp.BitstreamKind.RAW,
            cuda_stream=self._stream,
        )

    def decode(self, encoded: Any, frames: Extents, decoded: Any, chunks: Extents) -> None:
        try:
            self._codec.decode(self._batch(encoded, frames), out=self._batch(decoded, chunks))
        except (RuntimeError, ValueError) as error:
            raise DeviceLost(
                f"nvCOMP did not decode {len(frames.sizes)} chunks: {error}",
                advice="begin again, or decode with the CPU",
            ) from error

    def _batch(self, buffer: Any, pieces: Extents) -> Any:
        return self._nvcomp.as_arrays(
            buffer, pieces.offsets, pieces.sizes, cuda_stream=self._stream
        )
