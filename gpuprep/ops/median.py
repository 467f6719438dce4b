"""The median of every voxel's cube, as ``scipy.ndimage.median_filter`` with mode 'nearest' has it.

Whole rows are compared at once: sorted runs of neighbours are merged along x, then y, then z by Batcher's
odd-even merges (Knuth, The Art of Computer Programming 3, 5.3.4), of which only what leads to the median is
done. A run is made once for all cubes that have it: along x and y for every plane, along z for two planes.
The last step takes rank k of two sorted runs a, b as the least of max(a[i], b[k - i]).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.parallel import open_threads
from gpuprep.ops.selection import Program, Room, merged, ranked, sorted_run

Array = NDArray[Any]

_BAND = (
    1 << 14
)  # voxels of a plane that are in hand at one time: what is kept of them fits a core's cache


def median(array: Array, size: int, *, threads: int = 1, out: Array | None = None) -> Array:
    """The median over ``size`` voxels along each axis, in the array's dtype; beyond an edge its voxels go on.

    Args:
        array: 3-D, of any strides; whole numbers, or floating ones without NaN.
        size: 3 or 5.
        out: where the result goes; of the array's shape and dtype, apart from it in memory.
    """
    if size not in (3, 5):
        raise ValueError(f"a median goes over 3 or 5 voxels, not {size}")
    if out is None:
        out = np.empty(array.shape, array.dtype)
    _, height, width = array.shape
    rows = max(1, _BAND // max(1, width))
    bands = [(y, min(y + rows, height)) for y in range(0, height, rows)]
    with open_threads(threads) as pool:
        pool.map(lambda band: _band(array, size, band, out), bands)
    return out


def _band(array: Array, size: int, rows: tuple[int, int], out: Array) -> None:
    """The medians of some rows of all planes, two planes at a time."""
    depth, radius = array.shape[0], size // 2
    planes, programs = _Planes(array, size, rows), _programs(size)
    target = out[:, rows[0] : rows[1]]
    for z in range(0, depth, 2):  # planes z and z + 1 share all but their first and last
        runs = [planes.run(k) for k in range(z - radius, z + radius + 2)]
        shared = programs.shared.run([each for run in runs[1:-1] for each in run], planes.room)
        for place, run in ((z, runs[0]), (z + 1, runs[-1])):
            if place < depth:
                (found,) = programs.last.run([*shared, *run], planes.room)
                np.copyto(target[place], found)


class _Planes:
    """The sorted squares about the voxels of some rows, plane by plane; the last few are kept."""

    def __init__(self, array: Array, size: int, rows: tuple[int, int]) -> None:
        self._array, self._size = array, size
        self.room: Room = {}
        radius = size // 2
        self._rows = np.clip(np.arange(rows[0] - radius, rows[1] + radius), 0, array.shape[1] - 1)
        self._known: deque[tuple[int, list[Array]]] = deque(maxlen=size + 1)

    def run(self, plane: int) -> list[Array]:
        """``size²`` arrays in order of their values; planes beyond the ends are the outermost."""
        plane = min(max(plane, 0), len(self._array) - 1)
        for known, run in self._known:
            if known == plane:
                return run
        run = self._sorted(plane)
        self._known.append((plane, run))
        return run

    def _sorted(self, plane: int) -> list[Array]:
        size, programs, room = self._size, _programs(self._size), self.room
        turn = plane % (size + 1)  # as many planes are in hand
        wide = np.pad(self._array[plane][self._rows], ((0, 0), (size // 2, size // 2)), "edge")
        width = wide.shape[1] - size + 1
        lines = programs.line.run([wide[:, k : k + width] for k in range(size)], room)
        if size == 3:
            return programs.square.run(
                [row for by in range(3) for row in _shifted(lines, by, 2)], room, turn
            )
        pairs = programs.pair.run(_shifted(lines, 0, 1) + _shifted(lines, 1, 1), room)
        fours = programs.four.run(_shifted(pairs, 0, 2) + _shifted(pairs, 2, 2), room)
        return programs.square.run(_shifted(fours, 0, 1) + _shifted(lines, 4, 4), room, turn)


def _shifted(run: Sequence[Array], by: int, beyond: int) -> list[Array]:
    """The rows ``by`` further on, of as many as have ``beyond`` rows after them."""
    return [each[by : len(each) - beyond + by] for each in run]


class _Programs:
    """The networks of one size: along x, along y, and along z in two steps."""

    def __init__(self, size: int) -> None:
        square = size * size
        rank = (size**3 + 1) // 2
        self.line = Program(size, sorted_run)
        if size == 3:
            self.square = Program(9, lambda n: merged(merged(n[:3], n[3:6]), n[6:]))
        else:
            self.pair = Program(10, lambda n: merged(n[:5], n[5:]))
            self.four = Program(20, lambda n: merged(n[:10], n[10:]))
            self.square = Program(25, lambda n: merged(n[:20], n[20:]))
        total = square * (size - 1)
        first = rank - square  # ranks below are of no use with one more square
        kept = rank - first + 1
        self.shared = Program(total, lambda n: _merged_squares(n, square)[first - 1 : rank])
        self.last = Program(
            kept + square,
            lambda n: [ranked([*[None] * (first - 1), *n[:kept]], n[kept:], rank)],
        )


def _merged_squares(nodes: list[Any], square: int) -> list[Any]:
    runs = [nodes[k : k + square] for k in range(0, len(nodes), square)]
    while len(runs) > 1:
        runs = [merged(*pair) for pair in zip(runs[::2], runs[1::2], strict=True)]
    return runs[0]


@cache
def _programs(size: int) -> _Programs:
    return _Programs(size)
