"""What a case needs from an array engine, and the NumPy engine that gives it.

The worker is written once against ``Operations``. ``HostOperations`` computes with NumPy on host memory,
``ops.device.operations`` with CUDA kernels on a device. Arrays are handed about as ``Held``: where they
lie is the engine's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.host.scratch import Scratch
from gpuprep.ops.crop import find_box
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.filters import Filter
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.mask import fill_holes, find_mask
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.statistics import Distribution, measure
from gpuprep.values.geometry import Box, Shape
from gpuprep.values.volume import Chunked

Array = NDArray[Any]
Image = Array | Chunked
MakeArray = Callable[[], Array]


@dataclass(slots=True, eq=False)
class Held:
    """An array in the hands of an engine: on the host, on a device, or on both."""

    host: Array | None
    device: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        array: Any = self.device if self.host is None else self.host
        return tuple(array.shape)

    def crop(self, box: Box) -> Held:
        """A view of a part."""
        host, device = (None if each is None else each[box] for each in (self.host, self.device))
        return Held(host, device)


class Operations(Protocol):
    """An array engine, for one case at a time. Volumes are 3-D, ``z, y, x``, of any strides."""

    def hold(self, array: Array) -> Held:
        """Bring an array to where the engine works."""

    def box(
        self, arrays: Sequence[Held], above: float | None = None, fraction: float = 0.0
    ) -> Box | None:
        """The box of what is above a number, or differs from zero (``ops.crop.find_box``), if anything is."""

    def mask(self, arrays: Sequence[Held], above: float | None = None) -> Held:
        """Where any array is above a number, or differs from zero (``ops.mask.find_mask``)."""

    def filled(self, mask: Held) -> Held:
        """A mask with its holes filled (``ops.mask.fill_holes``)."""

    def masked(self, channel: Held, mask: Held, step: Pointwise) -> Held:
        """``step`` of the finite voxels inside a mask, as float32, and 0 everywhere else."""

    def marked(self, label: Held, mask: Held, value: int) -> Held:
        """A label map of a signed type with ``value`` where it is 0 outside a mask."""

    def cleaned(self, channel: Held, low: float, high: float) -> Held:
        """Floating voxels with ``low`` for NaN and -∞, and ``high`` for ∞."""

    def measure(self, channel: Held, mask: Held | None = None) -> Distribution:
        """The exact distribution of the voxels (where the mask is set); refers to ``channel``."""

    def filtered(
        self, channel: Held, steps: Sequence[Filter], others: Sequence[str], on_host: MakeArray
    ) -> Held:
        """A channel of the host through its filters, which see all of it.

        ``on_host`` does them in host memory: always where ``others`` names filters that no device does.
        """

    def fetch(self, held: Held) -> Array:
        """The voxels in host memory."""

    def empty(self, channels: int, shape: Shape, dtype: DTypeLike, chunk: int) -> Image:
        """Host memory for an image of several channels; with ``chunk`` it may come cut into such chunks."""

    def resample(self, channel: Held, how: Resampling, out: Image) -> None:
        """Write the resampled channel into one of an image from ``empty``, in its dtype."""

    def resample_labels(self, label: Held, how: Resampling) -> Array:
        """A label map on another grid, in host memory and its own dtype."""

    def blank(self, shape: Shape, dtype: DTypeLike) -> Array:
        """Host memory for what is made of a channel before it is held; it stays for the whole case."""

    def wait(self) -> None:
        """Until every result asked for is there."""

    def passing(self) -> AbstractContextManager[None]:
        """A block at whose end its results are let go of: the next ones may lie where they did."""


class HostOperations:
    """NumPy, with a number of threads; ``scratch`` gives the memory of results and copies."""

    def __init__(self, threads: int = 1, scratch: Scratch | None = None) -> None:
        self.threads = threads
        self.scratch = scratch or Scratch()

    def fetch(self, held: Held) -> Array:
        if held.host is None:
            raise ValueError("an array on a device is not for NumPy")
        return held.host

    def hold(self, array: Array) -> Held:
        return Held(array)

    def box(
        self, arrays: Sequence[Held], above: float | None = None, fraction: float = 0.0
    ) -> Box | None:
        return find_box([self.fetch(array) for array in arrays], above, fraction)

    def mask(self, arrays: Sequence[Held], above: float | None = None) -> Held:
        return Held(find_mask([self.fetch(array) for array in arrays], above))

    def filled(self, mask: Held) -> Held:
        return Held(fill_holes(self.fetch(mask)))

    def masked(self, channel: Held, mask: Held, step: Pointwise) -> Held:
        array, flags = self.fetch(channel), self.fetch(mask)
        voxels = self.scratch.empty(channel.shape, np.float32)
        step.apply(array, out=voxels)
        if array.dtype.kind != "f":
            return Held(np.multiply(voxels, flags, out=voxels))
        for target, plane, inside in zip(voxels, array, flags, strict=True):
            np.copyto(target, 0, where=~(np.isfinite(plane) & (inside != 0)))
        return Held(voxels)

    def marked(self, label: Held, mask: Held, value: int) -> Held:
        array, flags = self.fetch(label), self.fetch(mask)
        copied = self.scratch.empty(array.shape, array.dtype)
        for target, plane, inside in zip(copied, array, flags, strict=True):
            np.copyto(target, plane)
            np.copyto(target, array.dtype.type(value), where=(plane == 0) & (inside == 0))
        return Held(copied)

    def cleaned(self, channel: Held, low: float, high: float) -> Held:
        array = self.fetch(channel)
        copied = self.scratch.empty(array.shape, array.dtype)
        np.copyto(copied, array)
        return Held(np.nan_to_num(copied, copy=False, nan=low, posinf=high, neginf=low))

    def measure(self, channel: Held, mask: Held | None = None) -> Distribution:
        flags = None if mask is None else self.fetch(mask)
        return measure(self.fetch(channel), flags, threads=self.threads)

    def filtered(
        self, channel: Held, steps: Sequence[Filter], others: Sequence[str], on_host: MakeArray
    ) -> Held:
        return Held(on_host())

    def empty(self, channels: int, shape: Shape, dtype: DTypeLike, chunk: int) -> Image:
        return self.scratch.empty((channels, *shape), dtype)

    def resample(self, channel: Held, how: Resampling, out: Image) -> None:
        if isinstance(out, Chunked):
            plain = self.scratch.empty(out.shape, out.dtype)
            self.resample(channel, how, plain)
            out.fill(plain)
            return
        resample(self.fetch(channel), how, threads=self.threads, out=out)

    def resample_labels(self, label: Held, how: Resampling) -> Array:
        array = self.fetch(label)
        out = self.scratch.empty(how.mapping.shape, array.dtype)
        return resample_labels(array, how, threads=self.threads, out=out)

    def blank(self, shape: Shape, dtype: DTypeLike) -> Array:
        return self.scratch.empty(shape, dtype)

    def wait(self) -> None:
        """NumPy is never behind."""

    def passing(self) -> AbstractContextManager[None]:
        return self.scratch.passing()
