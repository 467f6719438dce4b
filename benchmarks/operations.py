"""What ``engine.py`` measures: the volumes, the operations on them, and a row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import phantom
from gpuprep.ops.axis import Interpolation
from gpuprep.ops.band import Boundary
from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import GridMapping, map_shape
from phantom import Shape

Array = NDArray[Any]

PERCENTILES = (0.5, 50.0, 99.5)
BOUNDARY: dict[Interpolation, Boundary] = {
    "linear": "nearest",
    "cubic": "mirror",
    "nearest": "nearest",
}
"""Beyond the edge, where all tools agree: ITK's B-spline mirrors."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume, its label map, and the grid to go to."""

    name: str
    image: Array
    labels: Array
    mapping: GridMapping

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.image.min()), float(self.image.max())


class Variant(NamedTuple):
    """One way to resample an image."""

    name: str
    interpolation: Interpolation
    antialias: bool = False
    separate_axis: int | None = None

    def of(self, volume: Volume) -> Resampling:
        """How gpuprep resamples a volume so; it is told the range of the voxels."""
        return Resampling(
            volume.mapping,
            self.interpolation,
            BOUNDARY[self.interpolation],
            self.antialias,
            self.separate_axis,
            value_range=volume.ends,
        )


RESAMPLINGS = (
    Variant("linear", "linear"),
    Variant("cubic", "cubic"),
    Variant("linear antialias", "linear", antialias=True),
    Variant("cubic separate z", "cubic", separate_axis=0),
    Variant("nearest", "nearest"),
)


@dataclass(frozen=True)
class Row:
    """One operation by one path."""

    operation: str
    volume: str
    path: str
    device: str
    threads: int
    wall: float
    """Seconds."""
    cpu: float
    """Seconds."""
    ratio: float
    """Its wall time over gpuprep's."""
    difference: float
    bytes: int
    """The source once and the result once."""
    kernels: float | None = None
    """Seconds that kernels ran, on a device."""
    bound: float | None = None
    """Seconds that ``bytes`` take at the device's copy speed."""

    def __str__(self) -> str:
        text = (
            f"{self.operation:24} {self.volume:8} {self.device:4} ×{self.threads} {self.path:24} "
            f"{self.wall * 1e3:9.2f} ms  cpu {self.cpu * 1e3:9.2f} ms  {self.ratio:6.1f}×  "
            f"differs {self.difference:.1e}  {self.bytes / 1e6:6.0f} MB"
        )
        if self.kernels and self.bound:
            share = self.bound / self.kernels
            text += f"  kernels {self.kernels * 1e3:7.3f} ms, {share:4.0%} of the bound"
        return text


def volumes(shape: Shape = phantom.SHAPE) -> tuple[Volume, Volume]:
    """A CT to a coarser grid, and a smaller float32 volume to a finer one."""
    coarser = _scaled(shape, phantom.SHAPE, (311, 267, 267))
    small = _scaled(shape, phantom.SHAPE, (128, 256, 256))
    finer = _scaled(small, (128, 256, 256), (320, 333, 333))
    fine = phantom.ct(small).astype(np.float32)
    return (
        Volume(
            "CT int16",
            phantom.ct(shape),
            phantom.labels(shape),
            map_shape(Geometry(shape), coarser),
        ),
        Volume("float32", fine, phantom.labels(small), map_shape(Geometry(small), finer)),
    )


def _scaled(shape: Shape, whole: Shape, target: Shape) -> Shape:
    """``target`` where ``shape`` is ``whole``, else as much less."""
    z, y, x = (n * m // p for n, p, m in zip(shape, whole, target, strict=True))
    return z, y, x


def difference(result: Array, reference: Array, *, exact: bool) -> float:
    """The largest difference in units of the reference's range; with ``exact``, the share that differs."""
    if exact:
        return float(np.count_nonzero(result != reference)) / reference.size
    width = float(reference.max()) - float(reference.min()) or 1.0
    planes = zip(result, reference, strict=True)
    return max(float(np.abs(plane - wanted).max()) for plane, wanted in planes) / width
