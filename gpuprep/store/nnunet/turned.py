"""A computed array as it is stored: channels first, axes in the stored order, in the stored dtype."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.volume import Chunked

Part = tuple[slice, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """An array ``c, z, y, x`` with its last three axes in another order; parts of it are made on demand.

    Attributes:
        array: ``z, y, x`` or ``c, z, y, x``, plain or cut into chunks.
        forward: The stored axes, as numbers of ``z, y, x``.
        dtype: As which it is stored.
    """

    array: NDArray[Any] | Chunked
    forward: tuple[int, int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        lead = self.array.shape[:-3] or (1,)
        return (*lead, *(self.array.shape[-3:][axis] for axis in self.forward))

    def __getitem__(self, part: Part) -> NDArray[Any]:
        """A part with start and stop along every axis, as a view where that can be."""
        place: list[slice] = [slice(None)] * 3
        for stored, axis in zip(part[1:], self.forward, strict=True):
            place[axis] = stored
        lead = part[:1] if self.array.ndim == 4 else ()
        voxels = _cut(self.array, (*lead, *place))
        four = voxels if voxels.ndim == 4 else voxels[None]
        turned = four.transpose(0, *(1 + axis for axis in self.forward))
        return turned.astype(self.dtype, copy=False)


def _cut(array: NDArray[Any] | Chunked, part: Part) -> NDArray[Any]:
    """A part of an array; of one cut into chunks, from the chunks that have some of it."""
    if not isinstance(array, Chunked):
        return array[part]
    edge = array.blocks.shape[-1]
    lead, place, ends = part[:-3], part[-3:], array.shape[-3:]
    outer = tuple(
        slice(each.start // edge * edge, min(-(-each.stop // edge) * edge, end))
        for each, end in zip(place, ends, strict=True)
    )
    inner = tuple(
        slice(each.start - around.start, each.stop - around.start)
        for each, around in zip(place, outer, strict=True)
    )
    return np.asarray(array.region((*lead, *outer)))[(*(slice(None) for _ in lead), *inner)]
