"""What a case needs from an array engine, and the NumPy engine that gives it.

The worker is written once against ``Operations``. ``HostOperations`` computes with NumPy on host memory,
``ops.device.operations`` with CUDA kernels on a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.grids import GridMapping
from gpuprep.ops.axis import Interpolation
from gpuprep.ops.band import Boundary
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import IDENTITY, ClipAffine
from gpuprep.ops.resample import resample
from gpuprep.ops.statistics import Distribution, measure
from gpuprep.scratch import Scratch

Array = NDArray[Any]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Resampling:
    """How one channel is resampled, with every number decided; the fields are those of ``resample``."""

    mapping: GridMapping
    interpolation: Interpolation = "linear"
    boundary: Boundary = "nearest"
    antialias: bool = False
    separate_axis: int | None = None
    prologue: ClipAffine = IDENTITY
    epilogue: ClipAffine = IDENTITY
    clip_to: tuple[float, float] | None = None
    value_range: tuple[float, float] | None = None

    def keywords(self) -> dict[str, Any]:
        """Every field but the mapping, by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "mapping"}


@dataclass(frozen=True, slots=True)
class Held:
    """An array where an engine can work on it; ``device`` is None where that is host memory."""

    host: Array
    device: Any = None


class Operations(Protocol):
    """An array engine, for one case at a time. Volumes are 3-D, ``z, y, x``, of any strides."""

    backend: Literal["numpy", "cupy"]
    scratch: Scratch

    def hold(self, array: Array) -> Held:
        """Bring an array to where the engine works."""

    def measure(self, held: Held, mask: Mask | None = None) -> Distribution:
        """The exact distribution of the voxels (where the mask is set); refers to ``held``."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Host memory for results."""

    def resample(self, held: Held, how: Resampling, out: Array) -> None:
        """Write the resampled channel, in the dtype of ``out``, which comes from ``empty``."""

    def resample_labels(
        self,
        label: Array,
        mapping: GridMapping,
        *,
        interpolation: Literal["nearest", "linear"],
        separate_axis: int | None,
    ) -> Array:
        """A label map on another grid, in host memory and its own dtype."""

    def wait(self) -> None:
        """Until every result asked for is there."""


class HostOperations:
    """NumPy, with a number of threads; ``scratch`` gives the memory of results."""

    backend: Literal["numpy", "cupy"] = "numpy"

    def __init__(self, threads: int = 1, scratch: Scratch | None = None) -> None:
        self.threads = threads
        self.scratch = scratch or Scratch()

    def hold(self, array: Array) -> Held:
        return Held(array)

    def measure(self, held: Held, mask: Mask | None = None) -> Distribution:
        return measure(held.host, mask, threads=self.threads)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        return self.scratch.empty(shape, dtype)

    def resample(self, held: Held, how: Resampling, out: Array) -> None:
        resample(held.host, how.mapping, **how.keywords(), threads=self.threads, out=out)

    def resample_labels(
        self,
        label: Array,
        mapping: GridMapping,
        *,
        interpolation: Literal["nearest", "linear"],
        separate_axis: int | None,
    ) -> Array:
        return resample_labels(
            label,
            mapping,
            interpolation=interpolation,
            separate_axis=separate_axis,
            threads=self.threads,
            out=self.scratch.empty(mapping.shape, label.dtype),
        )

    def wait(self) -> None:
        """NumPy is never behind."""
