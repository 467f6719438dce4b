"""One channel or label map at full resolution, read box by box, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.array import StoredArray
from gpuprep.values.geometry import Shape


class Voxels(Protocol):
    """A 3-D array in order ``z, y, x``."""

    @property
    def shape(self) -> Shape: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """The box from ``start`` up to, not including, ``stop``."""
        ...


@dataclass(frozen=True)
class StoredVoxels:
    """An array of a stored case, or one channel of it; ``outside`` of a label map is given as background."""

    array: StoredArray
    channel: int | None = None
    outside: int | None = None

    @property
    def shape(self) -> Shape:
        z, y, x = self.array.shape[-3:]
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        if self.channel is None:
            voxels = self.array.read(start, stop)
            if self.outside is not None:
                voxels[voxels == self.outside] = 0
            return voxels
        return self.array.read((self.channel, *start), (self.channel + 1, *stop))[0]


@dataclass(frozen=True)
class HeldVoxels:
    """An array in memory; images are given as float32, so that means of whole numbers keep their fraction."""

    array: NDArray[Any] = field(repr=False)
    is_label: bool = False

    @property
    def shape(self) -> Shape:
        z, y, x = self.array.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype if self.is_label else np.dtype(np.float32)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        box = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
        return np.ascontiguousarray(self.array[box], self.dtype)
