"""A volume: a 3-D array together with the grid it is sampled on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from gpuprep.geometry import Geometry


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
