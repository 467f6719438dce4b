"""Resampling on NumPy with the intensity steps folded in: one call from stored voxels to stored voxels.

Arithmetic is float32, counted from the background where the corners show one, else from the middle of
the value range. So a background (air after a clip, zero around a brain) stays exactly what it is and a
constant volume constant; elsewhere errors are below 1e-6 of the range. NaN voxels are refused: replace
them before.

Slices can be resampled each by itself (``separate_axis``), as nnU-Net's "separate z" has it for thick
slices: within their planes, no slice mixing with the next, and what is interpolated in a slice held
within that slice's own range.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.ops.axis import Axes, Interpolation, antialias_sigma, axis_weights, snapped
from gpuprep.ops.band import Boundary
from gpuprep.ops.curve import Curve, Pointwise
from gpuprep.ops.gather import gather, memory_order
from gpuprep.ops.linear import apply_linear
from gpuprep.ops.parallel import Threads, open_threads, split
from gpuprep.ops.pointwise import IDENTITY, ClipAffine, affine, clip
from gpuprep.ops.separable import Limits, apply_axes
from gpuprep.values.geometry import Triple
from gpuprep.values.grids import GridMapping

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Resampling:
    """How a volume is put on another grid, with every number decided.

    Attributes:
        mapping: output shape, and input index = output index · scale + offset per axis.
        interpolation: one for all axes, or three for ``z, y, x``.
        boundary: what lies beyond the outermost voxels (see ``axis``).
        antialias: smooth axes that lose resolution before they are sampled.
        separate_axis: resample each slice across this axis by itself, take the nearest along it, and
            hold results within the range of their slice after the prologue.
        prologue: what comes before: a clip and a line, or a curve.
        epilogue: the intensity steps that come after.
        clip_to: limits, in units after the prologue, for what the interpolation may overshoot.
        value_range: the smallest and largest voxel where already measured; saves a pass over the input.
        sigmas: standard deviations along ``z, y, x``, in voxels, of a Gaussian that ends at four of them and
            comes before all sampling; none along axes that are nearest.
    """

    mapping: GridMapping
    interpolation: Interpolation | Sequence[Interpolation] = "linear"
    boundary: Boundary = "nearest"
    antialias: bool = False
    separate_axis: int | None = None
    prologue: Pointwise = IDENTITY
    epilogue: ClipAffine = IDENTITY
    clip_to: tuple[float, float] | None = None
    value_range: tuple[float, float] | None = None
    sigmas: Triple = (0.0, 0.0, 0.0)

    @property
    def interpolations(self) -> list[Interpolation]:
        """The interpolation along ``z``, ``y`` and ``x``."""
        given = self.interpolation
        each: list[Interpolation] = [given] * 3 if isinstance(given, str) else list(given)
        if self.separate_axis is not None:
            each[self.separate_axis] = "nearest"
        return each

    @property
    def bounded_axis(self) -> int | None:
        """The axis across which slices are held within their own range; None where none overshoots."""
        return self.separate_axis if "cubic" in self.interpolations else None

    @property
    def after(self) -> ClipAffine:
        """What comes after the interpolation: its limits, then the epilogue."""
        return clip(*(self.clip_to or (-math.inf, math.inf))).then(self.epilogue)

    def axes(self, shape: Sequence[int]) -> Axes:
        """The weights of the three axes over an input of the given shape."""
        grid = self.mapping
        sigmas = (
            math.hypot(antialias_sigma(scale) * self.antialias, own)
            for scale, own in zip(grid.scale, self.sigmas, strict=True)
        )
        kinds = self.interpolations, sigmas
        rows = zip(shape, grid.shape, grid.scale, grid.offset, *kinds, strict=True)
        z, y, x = (
            axis_weights(n, m, scale, offset, kind, self.boundary, sigma)
            for n, m, scale, offset, kind, sigma in rows
        )
        return z, y, x


def resample(
    array: Array,
    how: Resampling,
    *,
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    out: Array | None = None,
) -> Array:
    """Evaluate ``epilogue(clip(resample(prologue(array)), clip_to))`` on another grid.

    >>> half = Resampling(GridMapping((2, 2, 2), scale=(2.0, 2.0, 2.0), offset=(0.5, 0.5, 0.5)))
    >>> resample(np.arange(64, dtype=np.int16).reshape(4, 4, 4), half).ravel().tolist()
    [10.5, 12.5, 18.5, 20.5, 42.5, 44.5, 50.5, 52.5]

    Args:
        array: 3-D, ``z, y, x``, any integer or floating dtype and any strides (views are welcome).
        dtype: of the result; integers are rounded half to even and held in range, never wrapped.
        threads: does not change the result.
        out: where to write; its dtype and strides then count and ``dtype`` does not.

    Raises:
        ValueError: no voxels, not 3-D, an ``out`` of another shape, or voxels that are not finite
            where the prologue does not clip them.

    Returns:
        A C-contiguous array of ``mapping.shape``, or ``out``. Where every axis only picks voxels
        (nearest, or a grid that coincides), values are moved, not computed.
    """
    array = check_volume(array)
    shape = how.mapping.shape
    target = np.empty(shape, dtype) if out is None else out
    if target.shape != shape:
        raise ValueError(f"out has shape {target.shape}, the grid has {shape}")
    axes = how.axes(array.shape)
    with open_threads(threads) as pool:
        if all(axis.indices is not None for axis in axes):
            gather(array, axes, target, how.prologue.then(how.after), pool)
            return target
        ends = how.value_range or _value_range(array, pool)
        before, after = about_origin(how.prologue, how.after, array, ends)
        if how.bounded_axis is not None:
            limits = _slice_limits(array, axes, how.bounded_axis, before, pool)
            apply_axes(array, axes, target, before, after, pool, limits)
        elif all(axis.weights.shape[1] <= 2 for axis in axes):
            apply_linear(array, axes, target, before, after, pool)
        else:
            apply_axes(array, axes, target, before, after, pool)
    return target


def check_volume(array: Any) -> Any:
    """The array with booleans as 0 and 1; ValueError unless it is 3-D and holds voxels."""
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"expected a 3-D array with voxels, got shape {array.shape}")
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def _value_range(array: Array, pool: Threads) -> tuple[float, float]:
    source = array.transpose(memory_order(array))
    runs = split(range(len(source)), pool.count)
    parts = [source[run[0] : run[-1] + 1] for run in runs]
    ends = pool.map(lambda part: (part.min(), part.max()), parts)
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def _slice_limits(array: Array, axes: Axes, axis: int, before: Pointwise, pool: Threads) -> Limits:
    """Per output slice along ``axis``, the range of the input slice it is taken from."""
    picks = axes[axis].indices
    assert picks is not None
    slices = np.moveaxis(array, axis, 0)
    parts = [slices[run[0] : run[-1] + 1] for run in split(range(len(slices)), pool.count)]
    ends = pool.map(lambda part: (part.min((1, 2)), part.max((1, 2))), parts)
    rows = [before.apply(np.concatenate(each)) for each in zip(*ends, strict=True)]
    low, high = np.minimum(*rows), np.maximum(*rows)  # a curve may fall
    z, y, x = (-1 if other == axis else 1 for other in range(3))
    return low[picks].reshape(z, y, x), high[picks].reshape(z, y, x)


@overload
def about_origin(
    prologue: ClipAffine, after: ClipAffine, array: Array, ends: tuple[float, float]
) -> tuple[ClipAffine, ClipAffine]: ...
@overload
def about_origin(
    prologue: Pointwise, after: ClipAffine, array: Array, ends: tuple[float, float]
) -> tuple[Pointwise, ClipAffine]: ...
def about_origin(
    prologue: Pointwise, after: ClipAffine, array: Array, ends: tuple[float, float]
) -> tuple[Pointwise, ClipAffine]:
    """The steps before and after the products, for voxels within ``ends``.

    Only clipping and a table must come before; a line may as well be applied to what is interpolated. What
    is left before is to count voxels from an origin (and in units near 1 where the range is extreme).
    ``array`` may be the eight corners alone. Raises ValueError where voxels are not all finite.
    """
    limit, line = _split(prologue, ends)
    low, high = limit.bounds(*ends)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("voxels are not all finite: replace NaN and infinities before resampling")
    half = high / 2 - low / 2
    origin = _background(array, limit)
    if origin is None:
        origin = float(np.float32(low + half)) if abs(low + half) < 1e38 else low + half
    unit = 1.0 if half == 0 or 1e-30 < half < 1e30 else max(half, 1e-300)
    before = limit.then(affine(1 / unit, -origin / unit))
    return before, affine(unit, origin).then(line).then(after)


def _split(prologue: Pointwise, ends: tuple[float, float]) -> tuple[Pointwise, ClipAffine]:
    """What must come before the products, for voxels within ``ends``, and the line that need not."""
    if isinstance(prologue, Curve):
        return prologue, IDENTITY
    line = affine(prologue.scale, prologue.offset)
    if prologue.low <= ends[0] and ends[1] <= prologue.high:
        return IDENTITY, line
    return clip(prologue.low, prologue.high), line


def _background(array: Array, limit: Pointwise) -> float | None:
    """The value that most of the volume's corners share after clipping, if there is one."""
    z, y, x = (slice(None, None, max(1, n - 1)) for n in array.shape)
    corners = [limit(float(value)) for value in array[z, y, x].flat]
    value, times = Counter(corners).most_common(1)[0]
    return value if 2 * times > len(corners) and math.isfinite(value) else None


def fill_beyond(
    array: NDArray[Any], shape: tuple[int, ...], mapping: GridMapping, value: float
) -> None:
    """Set the voxels of a resampled volume that lie outside a source of ``shape``, in place.

    Outside is an index beyond ``[-½, n - ½)`` along any axis, as ITK has it. In an array of integers the
    value is rounded half to even.
    """
    filling = round(value) if array.dtype.kind in "iu" else value
    rows = zip(shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    for axis, (n, m, scale, offset) in enumerate(rows):
        index = snapped(m, scale, offset)
        np.moveaxis(array, axis, 0)[(index < -0.5) | (index >= n - 0.5)] = filling
