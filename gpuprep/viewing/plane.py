"""One slice of one side as a picture, a pixel a voxel."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from gpuprep.drawing.slices import draw_slice, png_bytes
from gpuprep.values.errors import UsageError
from gpuprep.viewing.side import Side
from gpuprep.viewing.sight import Sight
from gpuprep.viewing.voxels import Voxels

Axis = Literal["x", "y", "z"]
Range = tuple[float | None, float | None]

_MOST_PIXELS = 64 << 20
_AXES = "zyx"


def plane_png(
    sight: Sight,
    side_name: str,
    axis: Axis,
    index: int,
    *,
    channel: int = 0,
    window: Range = (None, None),
    label: str | None = None,
) -> bytes:
    """The slice at an index of an axis of the side's own array.

    Rows and columns are the other two axes, the earlier of ``z, y, x`` down: across ``z`` rows are ``y`` and
    columns ``x``. Nothing is turned; which way the patient lies is said by the side's letters.

    Args:
        sight: What is looked at.
        side_name: ``before`` or ``after``.
        axis: Which axis the slice stands on.
        index: From 0.
        channel: Of the image.
        window: What becomes black and white, in the values of the source where the channel has a line; an
            end that is None is the channel's own.
        label: A label map to paint over it.

    Raises:
        UsageError: there is no such side, channel, label or index.
    """
    side = sight.side(side_name)
    own = _AXES.index(axis)
    shape = side.geometry.shape
    if not 0 <= index < shape[own]:
        raise UsageError(f"axis {axis} has slices 0 to {shape[own] - 1}, and no slice {index}")
    if math.prod(shape) // shape[own] > _MOST_PIXELS:
        raise UsageError(f"a slice of more than {_MOST_PIXELS:,} voxels is not drawn")

    def cut(voxels: Voxels) -> np.ndarray:
        start, stop = [0, 0, 0], list(shape)
        start[own], stop[own] = index, index + 1
        return voxels.read(start, stop).squeeze(own)

    mask = None
    if label:
        sight.check_label(side, label)
        mask = cut(sight.full(side, 0, label))
    if not side.channels and mask is not None:
        return png_bytes(draw_slice(np.zeros(mask.shape, np.uint8), (0.0, 1.0), mask))
    ends = _stored_window(sight, side, channel, window)
    return png_bytes(draw_slice(cut(sight.full(side, channel, None)), ends, mask))


def _stored_window(sight: Sight, side: Side, channel: int, window: Range) -> tuple[float, float]:
    """The window in the values of the array; a line that falls turns it round, and black stays black."""
    found = sight.channel(side, channel)
    low, high = (
        own if asked is None else asked for asked, own in zip(window, found.window, strict=True)
    )
    if found.line is None:
        return low, high
    return found.line.stored(low), found.line.stored(high)
