"""Volumes: a 3-D array together with the grid it is sampled on, and an array cut into chunks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.geometry import Geometry


@dataclass(frozen=True, slots=True)
class Volume:
    """One channel of one case: voxels in ``z, y, x`` order, in the dtype of the source."""

    array: NDArray[Any]
    geometry: Geometry

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise ValueError(
                f"array of shape {self.array.shape} on a grid of shape {self.geometry.shape}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Chunked:
    """An array of ``z, y, x`` or ``c, z, y, x`` cut into cubes, each contiguous, as a shard stores them.

    >>> cubes = np.arange(16).reshape(2, 1, 1, 2, 2, 2)  # two cubes of edge 2, one above the other
    >>> np.asarray(Chunked(cubes, shape=(3, 2, 2)))[:, 0, 0].tolist()
    [0, 4, 8]

    Attributes:
        blocks: ``([c,] ⌈z/e⌉, ⌈y/e⌉, ⌈x/e⌉, e, e, e)``, zero beyond the border.
        shape: of the array.
    """

    blocks: NDArray[Any]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.blocks.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, channel: int) -> Chunked:
        """One channel."""
        if self.ndim != 4:
            raise IndexError("an array without channels")
        return Chunked(self.blocks[channel], self.shape[1:])

    def region(self, part: tuple[slice, ...]) -> Chunked:
        """A part that begins at chunks and ends at chunks or the border."""
        edge = self.blocks.shape[-1]
        lead, place = part[:-3], part[-3:]
        cubes = tuple(slice(each.start // edge, -(-each.stop // edge)) for each in place)
        shape = tuple(each.stop - each.start for each in part)
        return Chunked(self.blocks[(*lead, *cubes)], shape)

    def __array__(
        self,
        dtype: Any = None,
        copy: bool | None = None,  # noqa: FBT001  (NumPy calls it so)
    ) -> NDArray[Any]:
        """The plain array, for ``numpy.asarray``."""
        if copy is False:
            raise ValueError("the voxels lie in another order: a plain array is a copy")
        lead = len(self.shape) - 3
        a, b, c = range(lead, lead + 3)
        turned = self.blocks.transpose(*range(lead), a, a + 3, b, b + 3, c, c + 3)
        cubes = zip(self.blocks.shape[lead:], self.blocks.shape[lead + 3 :], strict=False)
        whole = turned.reshape(*self.shape[:lead], *(count * edge for count, edge in cubes))
        return np.array(whole[tuple(map(slice, self.shape))], dtype)

    def fill(self, array: NDArray[Any]) -> None:
        """Take the voxels of a plain array ``z, y, x``."""
        edge = self.blocks.shape[-1]
        for corner in itertools.product(*map(range, self.blocks.shape[:3])):
            inside = array[tuple(slice(k * edge, (k + 1) * edge) for k in corner)]
            block = self.blocks[corner]
            if inside.shape != block.shape:
                block[...] = 0
            block[tuple(map(slice, inside.shape))] = inside
