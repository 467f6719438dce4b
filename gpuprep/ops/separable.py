"""Three banded products, slice by slice: the engine under ``resample`` for bands of any width.

Slices are taken along the array's slowest axis in memory, whatever its place in z, y, x. Each slice is
resampled within its plane into a rolling window of planes; runs of outputs are then products over that
window. Products are blocked (16 rows of a band at a time) and run on BLAS with one thread; threads of
our own take slices and strips. Temporaries are the window and a few MB per thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import Axes, AxisWeights, Block, product
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.gather import memory_order
from gpuprep.ops.parallel import Threads, split
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.windows import Columns

Array = NDArray[Any]
Floats = NDArray[np.float32]
Limits = tuple[Floats, Floats]
"""Smallest and largest results, in units after ``before``; they broadcast against the output."""

_ROWS = 16  # outputs per product: one vector register, and small enough for BLAS to skip packing
_RUN = 64  # outputs along the slice axis per turn of the window
_PIECE = 1 << 19  # voxels per step of a thread: a few MB, yet long enough to keep threads apart


def apply_axes(
    array: Array,
    axes: Axes,
    out: Array,
    before: Pointwise,
    after: ClipAffine,
    pool: Threads,
    limits: Limits | None = None,
) -> None:
    """Write ``after(clip(axes(before(array)), limits))``; at least one axis mixes voxels.

    Any strides on both sides.
    """
    order = _working_order(array, axes)
    outer, rows, columns = (axes[axis] for axis in order)
    target = _Target(out, order, limits, after)
    plane = _Plane(array.transpose(order), rows, columns, before)
    window = _Window(outer, (rows.m, columns.m))
    for run in window.runs:
        groups = split(window.missing(run), 2 * pool.count)
        pool.map(lambda group: plane.resample(group, window.planes), groups)
        height = max(1, _PIECE // (columns.m * _ROWS))
        strips = [slice(y, y + height) for y in range(0, rows.m, height)]
        pieces = [(block, strip) for block in run for strip in strips]
        pool.map(lambda piece: window.write(*piece, target), pieces)


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


class _Target:
    """Where results go, by way of the limits and the last steps."""

    def __init__(
        self, out: Array, order: tuple[int, int, int], limits: Limits | None, after: ClipAffine
    ) -> None:
        self._out = out.transpose(order)
        self._after = after
        self._limits = [np.broadcast_to(b, out.shape).transpose(order) for b in limits or ()]

    def write(self, part: tuple[slice, slice], tile: Floats) -> None:
        """Write results in working units; the tile is used up."""
        if self._limits:
            low, high = (bound[part] for bound in self._limits)
            np.clip(tile, low, high, out=tile)
        self._after.apply(tile, out=self._out[part], scratch=tile)


class _Plane:
    """Resamples slices within their plane: columns first, then rows, some slices at a time."""

    def __init__(
        self, source: Array, rows: AxisWeights, columns: AxisWeights, before: Pointwise
    ) -> None:
        self._source = source
        self._before = before
        self._rows, self._columns = rows, columns
        self._row_blocks = [] if rows.identity else rows.blocks(_ROWS)
        self._product = None if columns.identity else Columns(columns)
        self.batch = max(1, _PIECE // (rows.n * columns.n))
        self._strip = min(rows.n, max(1, _PIECE // (self.batch * columns.n)))

    def resample(self, indices: Sequence[int], planes: Floats) -> None:
        """Fill ``planes[index % len(planes)]`` for each slice index."""
        strips = np.empty(self.batch * self._strip * self._columns.n, np.float32)
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
                product(block.matrix, part, out=ready[:, block.out_start : block.out_stop])

    def _narrow(self, slices: Array, strips: Floats, narrow: Floats) -> None:
        """Resample the columns of those rows that are needed, in strips of bounded size."""
        first, last = self._rows.used
        for y in range(first, last, self._strip):
            strip = slice(y, min(y + self._strip, last))
            taken = slices[:, strip]
            if self._product is None:
                self._before.apply(taken, out=narrow[:, strip])
                continue
            values = strips[: taken.size].reshape(taken.shape)
            self._before.apply(taken, out=values)
            self._product(values, narrow[:, strip])


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
        self._picks = axis.indices

    def missing(self, run: Sequence[Block]) -> list[int]:
        """The slices to resample before the run's products; they count as present from now on."""
        needed = {
            block.in_start + int(k) for block in run for k in np.flatnonzero(block.matrix.any(0))
        }
        absent = sorted(i for i in needed if self._held.get(i % self.length) != i)
        self._held.update({i % self.length: i for i in absent})
        return absent

    def write(self, block: Block, strip: slice, target: _Target) -> None:
        """Write the block's outputs for the rows of ``strip``, row by row of the plane."""
        outputs = slice(block.out_start, block.out_stop)
        if self._picks is None:
            values = self._slices(block.in_start, block.in_stop, strip).transpose(1, 0, 2)
            tile = np.empty((len(block.matrix), *values.shape[::2]), np.float32)
            product(block.matrix, values, out=tile.transpose(1, 0, 2))
        else:
            tile = np.stack([self.planes[k % self.length, strip] for k in self._picks[outputs]])
        target.write((outputs, strip), tile)

    def _slices(self, start: int, stop: int, strip: slice) -> Floats:
        """The planes of neighbouring slices: a view, unless they wrap round the end."""
        first, last = start % self.length, (stop - 1) % self.length + 1
        if first < last:
            return self.planes[first:last, strip]
        return np.concatenate([self.planes[first:, strip], self.planes[:last, strip]])


def _span(run: Sequence[Block]) -> int:
    """Slices between the first and the last that a run needs."""
    return max(block.in_stop for block in run) - min(block.in_start for block in run)
