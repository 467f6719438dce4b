"""Resampling on NumPy: three banded products, slice by slice, with the intensity steps folded in.

Slices are taken along the array's slowest axis in memory, whatever its place in z, y, x. Each slice is
resampled within its plane into a rolling window of planes; runs of outputs are then products over that
window. Products are blocked (16 rows of a band at a time) and run on BLAS with one thread; threads
of our own take slices and strips. Temporaries are the window and a strip per thread.

Arithmetic is float32 about the middle of the value range, so errors are a few 1e-8 of the range and a
constant stays exactly constant. NaN and infinite voxels spread to neighbours: replace them before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.grids import GridMapping
from gpuprep.ops.axis import (
    AxisWeights,
    Block,
    Boundary,
    Interpolation,
    antialias_sigma,
    axis_weights,
)
from gpuprep.ops.parallel import Threads, open_threads, split
from gpuprep.ops.pointwise import ClipAffine, affine, clip

Array = NDArray[Any]
Floats = NDArray[np.float32]
Axes = tuple[AxisWeights, AxisWeights, AxisWeights]

_ROWS = 16  # outputs per product: one vector register, and small enough for BLAS to skip packing
_RUN = 64  # outputs along the slice axis per turn of the window
_PIECE = 1 << 19  # voxels per step of a thread: a few MB, yet long enough to keep threads apart


def resample(
    array: Array,
    mapping: GridMapping,
    *,
    interpolation: Interpolation | Sequence[Interpolation] = "linear",
    boundary: Boundary = "nearest",
    antialias: bool = False,
    prologue: ClipAffine = ClipAffine(),
    epilogue: ClipAffine = ClipAffine(),
    clip_to: tuple[float, float] | None = None,
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    value_range: tuple[float, float] | None = None,
    out: Array | None = None,
) -> Array:
    """Evaluate ``epilogue(clip(resample(prologue(array)), clip_to))`` on another grid.

    Args:
        array: 3-D, ``z, y, x``, any integer or floating dtype and any strides (views are welcome).
        mapping: output shape, and input index = output index · scale + offset per axis.
        interpolation: one for all axes, or three for ``z, y, x``.
        boundary: what lies beyond the outermost voxels (see ``axis``).
        antialias: smooth axes that lose resolution before they are sampled.
        clip_to: limits, in units after the prologue, for what the interpolation may overshoot.
        dtype: of the result; integers are rounded half to even and held in range, never wrapped.
        threads: does not change the result.
        value_range: the smallest and largest voxel where already measured; saves a pass over the input.
        out: where to write; its dtype and strides then count and ``dtype`` does not.

    Returns:
        A C-contiguous array of ``mapping.shape``, or ``out``. Where every axis only picks voxels
        (nearest, or a grid that coincides), values are moved, not computed.
    """
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"expected a 3-D array with voxels, got shape {array.shape}")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    target = np.empty(mapping.shape, dtype) if out is None else out
    if target.shape != mapping.shape:
        raise ValueError(f"out has shape {target.shape}, the grid has {mapping.shape}")
    axes = grid_axes(array.shape, mapping, interpolation, boundary, antialias=antialias)
    after = clip(*(clip_to or (-math.inf, math.inf))).then(epilogue)
    with open_threads(threads) as pool:
        if all(axis.indices is not None for axis in axes):
            gather(array, axes, target, prologue.then(after), pool)
        else:
            low, high = value_range or _value_range(array, pool)
            _resample(array, axes, target, _Steps.fold(prologue, after, low, high), pool)
    return target


def grid_axes(
    shape: tuple[int, ...],
    mapping: GridMapping,
    interpolation: Interpolation | Sequence[Interpolation],
    boundary: Boundary = "nearest",
    *,
    antialias: bool = False,
) -> Axes:
    """The weights of the three axes of a mapping over an input of the given shape."""
    kinds = [interpolation] * 3 if isinstance(interpolation, str) else interpolation
    z, y, x = (
        axis_weights(n, m, scale, offset, kind, boundary, antialias_sigma(scale) * antialias)
        for n, m, scale, offset, kind in zip(
            shape, mapping.shape, mapping.scale, mapping.offset, kinds, strict=True
        )
    )
    return z, y, x


def memory_order(array: Array) -> tuple[int, int, int]:
    """The axes of a 3-D array from the slowest to the fastest in memory; single voxels are fastest."""
    steps = [abs(s) if n > 1 else 0 for s, n in zip(array.strides, array.shape, strict=True)]
    a, b, c = sorted(range(3), key=lambda axis: -steps[axis])
    return a, b, c


def gather(
    array: Array, axes: Axes, out: Array, step: ClipAffine, pool: Threads, rows: int = _RUN
) -> None:
    """Write ``step`` of the voxels that the axes pick; nothing is interpolated."""
    order = memory_order(array)
    source, target = array.transpose(order), out.transpose(order)
    slices, ys, xs = (axes[axis].indices for axis in order)
    assert slices is not None
    assert ys is not None
    assert xs is not None
    inner_identity = axes[order[1]].identity and axes[order[2]].identity

    def run(part: slice) -> None:
        picks, repeat = np.unique(slices[part], return_inverse=True)
        if inner_identity and len(picks) == len(repeat):
            step.apply(_take(source, slices[part]), out=target[part])
            return
        planes = np.empty((len(picks), len(ys), len(xs)), target.dtype)
        for plane, pick in zip(planes, picks, strict=True):
            step.apply(source[pick].take(ys, 0).take(xs, 1), out=plane)
        target[part] = planes[repeat]

    parts = [slice(o, o + rows) for o in range(0, out.shape[order[0]], rows)]
    pool.map(run, parts)


def _take(source: Array, picks: NDArray[np.intp]) -> Array:
    """The picked slices: a view where they are neighbours."""
    first, count = int(picks[0]), len(picks)
    if (picks == np.arange(first, first + count)).all():
        return source[first : first + count]
    return source[picks]


def _value_range(array: Array, pool: Threads) -> tuple[float, float]:
    source = array.transpose(memory_order(array))
    ends = pool.map(lambda part: (part.min(), part.max()), split(source, pool.count))
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


@dataclass(frozen=True)
class _Steps:
    """The intensity steps about a product: ``before`` it voxels are brought to the middle of their range."""

    before: ClipAffine
    after: ClipAffine

    @classmethod
    def fold(cls, prologue: ClipAffine, after: ClipAffine, low: float, high: float) -> _Steps:
        """Only clipping must come before; a line may as well be applied to what is interpolated."""
        limit = clip(prologue.low, prologue.high)
        if prologue.low <= low and high <= prologue.high:
            limit = ClipAffine()
        low, high = limit.bounds(low, high)
        middle, half = low / 2 + high / 2, high / 2 - low / 2
        unit = 1.0 if half == 0 or 1e-30 < half < 1e30 else half
        line = affine(prologue.scale, prologue.offset)
        return cls(
            limit.then(affine(1 / unit, -middle / unit)),
            affine(unit, middle).then(line).then(after),
        )


def _resample(array: Array, axes: Axes, out: Array, steps: _Steps, pool: Threads) -> None:
    order = _working_order(array, axes)
    outer, rows, columns = (axes[axis] for axis in order)
    target = out.transpose(order)
    plane = _Plane(array.transpose(order), rows, columns, steps.before)
    window = _Window(outer, (rows.m, columns.m))
    for run in window.runs:
        groups = split(window.missing(run), 2 * pool.count)
        pool.map(lambda group: plane.resample(group, window.planes), groups)
        height = max(1, _PIECE // (columns.m * _ROWS))
        strips = [slice(y, y + height) for y in range(0, rows.m, height)]
        pieces = [(block, strip) for block in run for strip in strips]
        pool.map(lambda piece: window.product(*piece, target, steps.after), pieces)


def _working_order(array: Array, axes: Axes) -> tuple[int, int, int]:
    """Slices along the slowest axis in memory; in the plane, the order that multiplies less.

    The last axis of the order is resampled first.
    """
    outer, rows, columns = memory_order(array)

    def cost(first: AxisWeights, second: AxisWeights) -> float:
        return first.m * (second.n * _breadth(first) + second.m * _breadth(second))

    swapped = cost(axes[rows], axes[columns]) < 0.7 * cost(axes[columns], axes[rows])
    return (outer, columns, rows) if swapped else (outer, rows, columns)


def _breadth(axis: AxisWeights) -> float:
    """Input voxels that a row of a dense block touches."""
    return 0 if axis.identity else axis.weights.shape[1] + min(_ROWS, axis.m) * axis.n / axis.m


class _Plane:
    """Resamples slices within their plane: columns first, then rows, some slices at a time."""

    def __init__(
        self, source: Array, rows: AxisWeights, columns: AxisWeights, before: ClipAffine
    ) -> None:
        self._source = source
        self._before = before
        self._rows, self._columns = rows, columns
        self._row_blocks = [] if rows.identity else rows.blocks(_ROWS)
        self._column_blocks = [] if columns.identity else columns.blocks(_ROWS)
        self.batch = max(1, _PIECE // (rows.n * columns.n))
        self._strip = min(rows.n, max(1, _PIECE // (self.batch * columns.n)))

    def resample(self, indices: Sequence[int], planes: Floats) -> None:
        """Fill ``planes[index % len(planes)]`` for each slice index."""
        strips = np.empty((self.batch, self._strip, self._columns.n), np.float32)
        narrow = np.empty((self.batch, self._rows.n, self._columns.m), np.float32)
        for first, last in _batches(indices, len(planes), self.batch):
            slot = first % len(planes)
            ready = planes[slot : slot + last - first]
            if not self._row_blocks:
                self._narrow(self._source[first:last], strips, ready)
                continue
            self._narrow(self._source[first:last], strips, narrow[: last - first])
            for block in self._row_blocks:
                part = narrow[: last - first, block.in_start : block.in_stop]
                np.matmul(block.matrix, part, out=ready[:, block.out_start : block.out_stop])

    def _narrow(self, slices: Array, strips: Floats, narrow: Floats) -> None:
        """Resample the columns of those rows that are needed, in strips of bounded size."""
        first, last = self._rows.used
        for y in range(first, last, self._strip):
            strip = slice(y, min(y + self._strip, last))
            if not self._column_blocks:
                self._before.apply(slices[:, strip], out=narrow[:, strip])
                continue
            values = strips[: len(slices), : strip.stop - y]
            self._before.apply(slices[:, strip], out=values)
            for block in self._column_blocks:
                part = values[:, :, block.in_start : block.in_stop]
                out = narrow[:, strip, block.out_start : block.out_stop]
                np.matmul(part, block.matrix.T, out=out)


def _batches(indices: Sequence[int], modulus: int, most: int) -> Iterator[tuple[int, int]]:
    """Half-open runs of at most ``most`` consecutive indices that do not wrap round ``modulus``."""
    first = previous = None
    for index in indices:
        if first is None or previous is None:
            first = index
        elif index != previous + 1 or index % modulus == 0 or index - first == most:
            yield first, previous + 1
            first = index
        previous = index
    if first is not None and previous is not None:
        yield first, previous + 1


class _Window:
    """The planes that a run of outputs along the slice axis needs; slice ``i`` lies in ``i % length``.

    It is no longer than the output, or as short as single blocks allow.
    """

    def __init__(self, axis: AxisWeights, plane: tuple[int, int]) -> None:
        blocks = axis.blocks(min(_ROWS, max(1, axis.m // 2)))
        per_run = max(1, _RUN // _ROWS)
        while True:
            self.runs = [blocks[k : k + per_run] for k in range(0, len(blocks), per_run)]
            self.length = max(_span(run) for run in self.runs)
            if self.length <= axis.m or per_run == 1:
                break
            per_run -= 1
        self.planes = np.zeros((self.length, *plane), np.float32)  # some only ever meet weight zero
        self._held: dict[int, int] = {}

    def missing(self, run: Sequence[Block]) -> list[int]:
        """The slices to resample before the run's products; they count as present from now on."""
        needed = {
            block.in_start + int(k) for block in run for k in np.flatnonzero(block.matrix.any(0))
        }
        absent = sorted(i for i in needed if self._held.get(i % self.length) != i)
        self._held.update({i % self.length: i for i in absent})
        return absent

    def product(self, block: Block, strip: slice, target: Array, after: ClipAffine) -> None:
        """Write the block's outputs for the rows of ``strip``, row by row of the plane."""
        values = self._slices(block.in_start, block.in_stop, strip).transpose(1, 0, 2)
        rows = target[block.out_start : block.out_stop, strip]
        tile = np.empty(rows.shape, np.float32)
        np.matmul(block.matrix, values, out=tile.transpose(1, 0, 2))
        after.apply(tile, out=rows)

    def _slices(self, start: int, stop: int, strip: slice) -> Floats:
        """The planes of neighbouring slices: a view, unless they wrap round the end."""
        first, last = start % self.length, (stop - 1) % self.length + 1
        if first < last:
            return self.planes[first:last, strip]
        return np.concatenate([self.planes[first:, strip], self.planes[:last, strip]])


def _span(run: Sequence[Block]) -> int:
    """Slices between the first and the last that a run needs."""
    return max(block.in_stop for block in run) - min(block.in_start for block in run)
