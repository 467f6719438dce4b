"""A network's logits to labels, or probabilities, on the grid of the files, as nnU-Net 2.8 does it.

Logits of each class are resampled linearly in float64 and rounded to their own dtype; then the largest wins,
the first of equals. Regions that a sigmoid puts above one half are painted in order, later over earlier.
Slabs of planes are done one by one, and classes within a slab, so that memory holds little beside the logits
(which may be mapped from a file) and the result.

Source: nnU-Net v2 ``convert_predicted_logits_to_segmentation_with_correct_shape``, ``resample_and_save``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from numpy.typing import NDArray

from gpuprep.host.atomic import whole_file
from gpuprep.host.scratch import Scratch
from gpuprep.ops.parallel import open_threads
from gpuprep.ops.zoom import Zoom
from gpuprep.store.nnunet.previous import WIDE
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Box, Reorientation, Shape

_SLAB = 1 << 17  # output voxels per step of a thread: 1 MB of float64, which a cache holds
_HELD = 1 << 28  # bytes of probabilities in memory; more of them lie in a file
_HALF = np.float32(1.5 * 2**-24)  # the largest logit whose float32 sigmoid is not above one half


@dataclass(frozen=True)
class Heads:
    """What a network's output channels stand for.

    Attributes:
        number: Of output channels.
        order: With regions: the value that paints each, in this order; else empty.
        classes: How many values beside the background labels have.
    """

    number: int
    order: tuple[int, ...]
    classes: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of label maps."""
        return np.dtype(np.uint8 if self.classes < WIDE else np.uint16)


@dataclass(frozen=True)
class WayBack:
    """From a network's grid to that of the file.

    Attributes:
        cropped: The shape after the crop, before resampling, in the order of the stored axes.
        box: Where that lies in the whole.
        whole: The shape before the crop, in the order of the stored axes.
        forward: The stored axes, as axes of the file.
        separate_axis: The stored axis across which slices are resampled one by one.
    """

    cropped: Shape
    box: Box
    whole: Shape
    forward: tuple[int, int, int]
    separate_axis: int | None

    def straight(self, array: NDArray[Any]) -> NDArray[Any]:
        """The last three axes in the order of the file; a view."""
        ahead = array.ndim - 3
        backward = [ahead + self.forward.index(axis) for axis in range(3)]
        return array.transpose(*range(ahead), *backward)


def segment(
    logits: NDArray[Any], way: WayBack, heads: Heads, *, threads: int = 1
) -> NDArray[np.uint8 | np.uint16]:
    """Labels on the grid of the file, 0 outside the crop.

    Args:
        logits: float16 or float32, ``c`` and the stored axes; a mapped file is read slab by slab.
        way: Where they belong.
        heads: What the channels stand for.
        threads: Does not change the result.

    Raises:
        UsageError: another number of channels or dtype, or logits that are not finite.
    """
    whole = np.zeros(way.whole, heads.dtype)
    decide(logits, way.cropped, way.separate_axis, heads, whole[way.box], threads=threads)
    return way.straight(whole)


def decide(
    logits: NDArray[Any],
    shape: Shape,
    separate_axis: int | None,
    heads: Heads,
    out: NDArray[Any],
    *,
    threads: int = 1,
) -> None:
    """Write the labels of logits that are resampled to ``shape`` into ``out``; as ``segment``."""
    check_logits(logits, heads)
    resampled = Resampled.of(logits, shape, separate_axis)
    with open_threads(threads) as pool:
        pool.map(lambda rows: resampled.decide(rows, heads.order, out[rows]), resampled.slabs)


@dataclass(frozen=True)
class Resampled:
    """Logits on another grid, made when they are asked for."""

    logits: NDArray[Any]
    zoom: Zoom | None
    shape: Shape

    @classmethod
    def of(cls, logits: NDArray[Any], shape: Shape, separate_axis: int | None) -> Resampled:
        z, y, x = logits.shape[1:]
        same = (z, y, x) == shape
        return cls(logits, None if same else Zoom.between((z, y, x), shape, separate_axis), shape)

    @property
    def slabs(self) -> list[slice]:
        """Runs of planes to be done at a time."""
        planes, rows, columns = self.shape
        step = max(1, _SLAB // (rows * columns))
        return [slice(first, min(first + step, planes)) for first in range(0, planes, step)]

    def planes(self, channel: int, rows: slice) -> NDArray[np.float32]:
        """One channel's planes, rounded to the logits' dtype; as float32, which holds both."""
        volume = self.logits[channel]
        if self.zoom is None:
            return volume[rows].astype(np.float32)
        return self.zoom.planes(volume, rows).astype(volume.dtype).astype(np.float32, copy=False)

    def channels(self, rows: slice) -> Iterator[NDArray[np.float32]]:
        """Every channel's planes."""
        return (self.planes(channel, rows) for channel in range(len(self.logits)))

    def soften(self, rows: slice, out: NDArray[np.float32], *, regions: bool) -> None:
        """Write the probabilities of some planes, channel by channel."""
        for channel, planes in enumerate(self.channels(rows)):
            _check_finite(planes)
            out[channel] = sigmoid(planes) if regions else planes
        if not regions:
            out -= out.max(0)
            np.exp(out, out=out)
            out /= out.sum(0)

    def decide(self, rows: slice, order: tuple[int, ...], out: NDArray[Any]) -> None:
        """Write the labels of some planes."""
        if order:
            for value, planes in zip(order, self.channels(rows), strict=True):
                _check_finite(planes)
                np.copyto(out, value, where=planes > _HALF, casting="unsafe")
            return
        best: NDArray[np.float32] | None = None
        for label, planes in enumerate(self.channels(rows)):
            _check_finite(planes)
            if best is None:
                best = planes
                continue
            better = planes > best
            np.copyto(out, label, where=better, casting="unsafe")
            np.copyto(best, planes, where=better)


def sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``1 / (1 + exp(-x))`` in float32."""
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-values))


def write_probabilities(
    logits: NDArray[Any], way: WayBack, heads: Heads, turn: Reorientation, file: Path
) -> None:
    """Write ``probabilities`` on the grid of the file into an ``.npz``, float32 ``c, z, y, x``, as nnU-Net.

    They are made after resampling, by a softmax, or with regions by a sigmoid; outside the crop the
    background has 1 and all else 0. Many of them are held in a file beside the target, not in memory.

    Args:
        logits: As for ``segment``.
        way: Where they belong.
        heads: What the channels stand for.
        turn: From the axes that ``way`` ends at to those of the file.
        file: The target; it appears whole or not at all.

    Raises:
        UsageError: as ``segment``, or it cannot be written.
    """
    check_logits(logits, heads)
    resampled = Resampled.of(logits, way.cropped, way.separate_axis)
    with whole_file(file) as partial:
        held = Scratch(file.parent, _HELD).empty((heads.number, *way.cropped), np.float32)
        for rows in resampled.slabs:
            resampled.soften(rows, held[:, rows], regions=bool(heads.order))
        with (
            ZipFile(partial, "w", ZIP_DEFLATED) as archive,
            archive.open("probabilities.npy", "w", force_zip64=True) as member,
        ):
            _write_channels(held, way, heads, turn, member)


def _write_channels(
    held: NDArray[np.float32], way: WayBack, heads: Heads, turn: Reorientation, member: IO[bytes]
) -> None:
    """The bytes of a ``.npy`` file, channel by channel."""
    whole = np.empty(way.whole, np.float32)
    straight = turn.view(way.straight(whole))
    fields = {"descr": "<f4", "fortran_order": False, "shape": (heads.number, *straight.shape)}
    np.lib.format.write_array_header_1_0(member, fields)
    for number, channel in enumerate(held):
        whole[...] = number == 0 and not heads.order
        whole[way.box] = channel
        for plane in straight:
            member.write(np.ascontiguousarray(plane).data)


def check_logits(logits: NDArray[Any], heads: Heads) -> None:
    """Raises UsageError for what is no output of such a network."""
    if logits.ndim != 4 or 0 in logits.shape:
        raise UsageError(
            f"the logits have shape {logits.shape}", advice="give them as class, then three axes"
        )
    if logits.dtype not in (np.float16, np.float32):
        raise UsageError(
            f"the logits are {logits.dtype}; what a network gives is float16 or float32",
            advice="round them to float32",
        )
    if len(logits) != heads.number:
        what = "regions" if heads.order else "labels, the background included"
        raise UsageError(
            f"the logits have {len(logits)} channels, dataset.json has {heads.number} {what}",
            advice="give the output of a network that was trained on this data set",
        )


def _check_finite(planes: NDArray[np.float32]) -> None:
    if not np.isfinite(planes).all():
        wrong = planes.size - int(np.count_nonzero(np.isfinite(planes)))
        raise UsageError(
            f"the logits are not finite in {wrong:,} of {planes.size:,} values of one class in a slab",
            advice="a network that gives NaN or infinities has diverged, or ran in too narrow a dtype",
        )
