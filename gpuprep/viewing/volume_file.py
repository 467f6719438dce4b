"""A volume as an uncompressed NIfTI file in pieces: nothing is held but the slab that is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.files import NIFTI_OFFSET, nifti_header
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.levels import slabs
from gpuprep.viewing.voxels import Voxels

_SHORT = {"i": np.dtype("<i4"), "u": np.dtype("<u4")}


@dataclass(frozen=True)
class VolumeFile:
    """One level of a channel (float32) or of a label map (in integers of at most 32 bits).

    Attributes:
        voxels: Full resolution, or a level that the store has.
        geometry: The grid of what is sent.
        steps: Halvings between the two.
        is_label: Whether values are labels.
    """

    voxels: Voxels
    geometry: Geometry
    steps: int = 0
    is_label: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        own = self.voxels.dtype
        if not self.is_label:
            return np.dtype("<f4")
        return _SHORT.get(own.kind, own) if own.itemsize > 4 else own.newbyteorder("<")

    @property
    def size(self) -> int:
        """Of the whole file."""
        return NIFTI_OFFSET + math.prod(self.geometry.shape) * self.dtype.itemsize

    def pieces(self) -> Iterator[bytes]:
        """The file from its first byte to its last.

        Raises:
            UsageError: a label is beyond 32 bits, which is what the pages' reader of NIfTI knows.
            Exception: whatever the voxels' ``read`` raises.
        """
        yield nifti_header(self.geometry, self.dtype)
        for slab in slabs(self.voxels, self.steps, is_label=self.is_label):
            yield self._encode(slab)

    def _encode(self, slab: NDArray[Any]) -> bytes:
        if self.is_label and self.voxels.dtype.itemsize > self.dtype.itemsize:
            _check_range(slab, self.dtype)
        return np.ascontiguousarray(slab, self.dtype).tobytes()


def _check_range(slab: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Refuse labels that a smaller integer would turn into others."""
    least, most = int(slab.min()), int(slab.max())
    limits = np.iinfo(dtype)
    if least < limits.min or most > limits.max:
        wrong = most if most > limits.max else least
        raise UsageError(
            f"label {wrong} does not fit the {dtype.itemsize * 8} bits that viewers read: {dtype.name} "
            f"is from {limits.min} to {limits.max}",
            advice="give the labels smaller numbers in the source to look at them; the stored ones are whole",
        )
