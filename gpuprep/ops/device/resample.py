"""Resampling on a device: picks, a direct linear kernel, or three banded passes; steps fused throughout."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import Interpolation, grid_axes, slicewise
from gpuprep.ops.band import Boundary
from gpuprep.ops.device.linear import linear, pick
from gpuprep.ops.device.profiles import SliceRanges, slice_ranges_device
from gpuprep.ops.device.sampling import Part, Sampling
from gpuprep.ops.device.separable import Limits, apply_axes
from gpuprep.ops.device.statistics import value_range_device
from gpuprep.ops.device.target import Target
from gpuprep.ops.pointwise import IDENTITY, ClipAffine, clip
from gpuprep.ops.resample import about_origin
from gpuprep.values.grids import GridMapping


def resample_device(
    engine: Engine,
    array: Any,
    mapping: GridMapping,
    *,
    interpolation: Interpolation | Sequence[Interpolation] = "linear",
    boundary: Boundary = "nearest",
    antialias: bool = False,
    prologue: ClipAffine = IDENTITY,
    epilogue: ClipAffine = IDENTITY,
    clip_to: tuple[float, float] | None = None,
    separate_axis: int | None = None,
    dtype: DTypeLike = np.float32,
    value_range: tuple[float, float] | None = None,
    slice_ranges: SliceRanges | None = None,
    corners: NDArray[Any] | None = None,
    part: Part | None = None,
    chunk: int = 0,
    out: Any = None,
) -> Any:
    """``ops.resample.resample`` on the engine's arrays: same arguments, same result within 2e-6 of the range.

    ``array`` may have any strides (crops, flips and permutes cost no copy) and is bool, int8, uint8,
    int16, uint16, int32, float32 or float64; the result, or ``out`` of any strides, is float32, float16
    or int16. What has been measured already need not come from the device again:

    Args:
        value_range: the smallest and largest voxel.
        slice_ranges: those of each slice across ``separate_axis`` (``slice_ranges_device``).
        corners: the eight voxels at the corners, on the host.
        part: compute these outputs only, from an ``array`` that holds the slices they need
            (``needed_slices``); the three above are then of the whole, and wanted where voxels mix.
        chunk: edge of the chunks of the result; 0 for a plain array (see ``Target``).

    Raises:
        TypeError: another dtype on either side.
        ValueError: as ``resample``, a scale that float32 cannot hold, or a part of other slices.
    """
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"expected a 3-D array with voxels, got shape {array.shape}")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    kinds = slicewise(interpolation, separate_axis)
    shape = array.shape if part is None else part.shape
    axes = grid_axes(shape, mapping, kinds, boundary, antialias=antialias)
    sampling = Sampling.of(array, axes, part)
    target = Target.of(engine, sampling.shape, dtype, chunk, out)
    after = clip(*(clip_to or (-math.inf, math.inf))).then(epilogue)
    if sampling.reach() == 1:
        step = prologue.then(after)
        target.fill(step) if step.scale == 0 else pick(engine, array, sampling, step, target)
        return target.array
    held = separate_axis if "cubic" in kinds else None
    known = _measured(engine, array, part, held, _Measured(value_range, slice_ranges, corners))
    _mix(engine, array, sampling, prologue, after, held, known, target)
    return target.array


class _Measured(NamedTuple):
    """What is known of the voxels of a whole volume, on the host."""

    ends: tuple[float, float] | None
    slices: SliceRanges | None
    corners: NDArray[Any] | None


def _measured(
    engine: Engine, array: Any, part: Part | None, held: int | None, known: _Measured
) -> _Measured:
    """What is known, and what was not, measured on the device; ValueError where a part would have to tell."""
    ends, slices, corners = known
    missing = ends is None or corners is None or (held is not None and slices is None)
    if part is not None and missing:
        raise ValueError("a part does not know the whole's value range, corners and slice ranges")
    if held is not None and slices is None:
        slices = slice_ranges_device(engine, array, held)
    if ends is None and slices is not None:
        ends = float(slices[0].min()), float(slices[1].max())
    if corners is None:  # one by one: a strided copy would need a kernel of the array library
        ends_of = [sorted({0, n - 1}) for n in array.shape]
        places = [tuple(slice(k, k + 1) for k in corner) for corner in itertools.product(*ends_of)]
        voxels = [engine.to_host(array[place]).item() for place in places]
        corners = np.array(voxels, array.dtype).reshape([len(ends) for ends in ends_of])
    return _Measured(ends or value_range_device(engine, array), slices, corners)


def _mix(
    engine: Engine,
    array: Any,
    sampling: Sampling,
    prologue: ClipAffine,
    after: ClipAffine,
    held: int | None,
    known: _Measured,
    target: Target,
) -> None:
    """Write outputs made of several voxels; slices across ``held`` stay within their own range."""
    ends, slices, corners = known
    assert ends is not None
    assert corners is not None
    before, after = about_origin(prologue, after, corners, ends)
    if after.scale == 0:
        target.fill(after)
    elif held is None and sampling.reach() <= 2:
        linear(engine, array, sampling, before, after, target)
    else:
        limits = None
        if held is not None and slices is not None:
            bounds = [before.apply(row)[sampling.picks(held)] for row in slices]
            limits = Limits(held, np.stack(bounds))
        apply_axes(engine, array, sampling, before, after, limits, target)
