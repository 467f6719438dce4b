"""Resampling on a device: picks, a direct linear kernel, or three banded passes; steps fused throughout."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.curve import Curve
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.device.linear import linear, pick
from gpuprep.ops.device.profiles import SliceRanges, slice_ranges_device
from gpuprep.ops.device.sampling import Part, Sampling
from gpuprep.ops.device.separable import Limits, apply_axes
from gpuprep.ops.device.statistics import value_range_device
from gpuprep.ops.device.target import Target
from gpuprep.ops.device.transfer import fetch, picked
from gpuprep.ops.pointwise import IDENTITY, ClipAffine
from gpuprep.ops.resample import Resampling, about_origin, check_volume


class Whole(NamedTuple):
    """What the steps before mixing must know of a whole volume's voxels, on the host.

    Attributes:
        ends: the smallest and largest voxel.
        corners: the eight voxels at the corners.
        slices: the range of each slice across ``Resampling.bounded_axis``, where there is one.
    """

    ends: tuple[float, float]
    corners: NDArray[Any]
    slices: SliceRanges | None = None

    def after(self, curve: Curve) -> Whole:
        """The same of the volume that a curve makes of it."""
        slices = self.slices
        if slices is not None:
            low, high = (curve.apply(row) for row in slices)
            slices = np.minimum(low, high), np.maximum(low, high)
        return Whole(curve.bounds(*self.ends), curve.apply(self.corners), slices)


def resample_device(
    engine: Engine,
    array: Any,
    how: Resampling,
    *,
    dtype: DTypeLike = np.float32,
    part: Part | None = None,
    whole: Whole | None = None,
    chunk: int = 0,
    host: NDArray[Any] | None = None,
) -> Any:
    """``ops.resample.resample`` on the engine's arrays: the same result within 2e-6 of the range.

    Args:
        array: any strides (crops, flips and permutes cost no copy); bool, int8, uint8, int16, uint16,
            int32, float32 or float64.
        dtype: of the result: float32, float16 or int16.
        part: compute these outputs only, from an ``array`` that holds the slices they need
            (``Part.inputs``).
        whole: what is known of the volume; measured on the device where it is None. Parts whose voxels
            mix need it.
        chunk: edge of the chunks of the result; 0 for a plain array (see ``Target``).
        host: the same voxels on the host, where they are there: it spares a read from the device.

    Raises:
        TypeError: another dtype on either side.
        ValueError: as ``resample``, a scale that float32 cannot hold, or a part of other slices.
    """
    array = check_volume(array)
    if isinstance(how.prologue, Curve):  # one float32 volume more, from which the rest is as ever
        curve, prologue, host = how.prologue, IDENTITY, None
        array, ends = curved_device(engine, array, curve), how.value_range
        how = replace(how, prologue=prologue, value_range=ends and curve.bounds(*ends))
        whole = whole and whole.after(curve)
    else:
        prologue = how.prologue
    sampling = Sampling.of(array, how, part)
    target = Target.of(engine, sampling.shape, dtype, chunk)
    if sampling.reach() == 1:
        step = prologue.then(how.after)
        target.fill(engine, step) if step.scale == 0 else pick(
            engine, array, sampling, step, target
        )
        return target.array
    if part is None and whole is None:
        whole = _measure(engine, array, how, host)
    if whole is None or (how.bounded_axis is not None and whole.slices is None):
        raise ValueError("a part does not know the whole's value range, corners and slice ranges")
    _mix(engine, array, how, prologue, sampling, whole, target)
    return target.array


def _measure(engine: Engine, array: Any, how: Resampling, host: NDArray[Any] | None) -> Whole:
    """What there is to know, measured on the device; corners are read where they are at hand."""
    ends, slices = how.value_range, None
    if how.bounded_axis is not None:
        slices = slice_ranges_device(engine, array, how.bounded_axis)
        ends = ends or (float(slices[0].min()), float(slices[1].max()))
    corners = corners_of(host) if host is not None else _corners_device(engine, array)
    return Whole(ends or value_range_device(engine, array), corners, slices)


def corners_of(array: NDArray[Any]) -> NDArray[Any]:
    """A copy of the voxels at the eight corners, fewer where an axis has one voxel."""
    return array[np.ix_(*(_ends(n) for n in array.shape))]


def _corners_device(engine: Engine, array: Any) -> NDArray[Any]:
    """The same from a device, in one read."""
    return fetch(engine, picked(engine, array, [_ends(n) for n in array.shape]))


def _ends(length: int) -> list[int]:
    return sorted({0, length - 1})


def _mix(
    engine: Engine,
    array: Any,
    how: Resampling,
    prologue: ClipAffine,
    sampling: Sampling,
    whole: Whole,
    target: Target,
) -> None:
    """Write outputs made of several voxels; slices across the bounded axis stay within their own range."""
    before, after = about_origin(prologue, how.after, whole.corners, whole.ends)
    axis = how.bounded_axis
    if after.scale == 0:
        target.fill(engine, after)
    elif axis is None and sampling.reach() <= 2:
        linear(engine, array, sampling, before, after, target)
    else:
        limits = None
        if axis is not None and whole.slices is not None:
            bounds = [before.apply(row)[sampling.picks(axis)] for row in whole.slices]
            limits = Limits(axis, np.stack(bounds))
        apply_axes(engine, array, sampling, before, after, limits, target)
