"""The median of every voxel's cube, as ``scipy.ndimage.median_filter`` with mode 'nearest' has it.

Whole rows are compared at once: sorted runs of neighbours are merged along x, then y, then z by Batcher's
odd-even merges (Knuth, The Art of Computer Programming 3, 5.3.4), of which only what leads to the median is
done. What cubes share is made once: a sorted line for all rows and planes that it counts in, the inner rows
of two neighbouring rows, and so the inner planes of two neighbouring planes. The last step takes rank k of
two sorted runs a, b as the least of max(a[i], b[k - i]).

Floats are compared as whole numbers: processors have no instructions for two of float16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.gather import memory_order
from gpuprep.ops.levels import find_levels
from gpuprep.ops.parallel import Threads, open_threads
from gpuprep.ops.selection import Node, Program, Room, merged, ranked, sorted_run

Array = NDArray[Any]

_BAND = 3 << 14
"""Bytes of a plane's voxels that are in hand at one time: what a network holds fits a core's cache."""


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
    order, floats = memory_order(array), array.dtype.kind == "f"
    source, target = array.transpose(order), out.transpose(order)
    with open_threads(threads) as pool:
        levels = find_levels(source, pool) if floats else None
        if levels is None:
            whole = array.dtype.str.replace("f", "i")  # in the same order of bytes
            _medians(source.view(whole), size, target.view(whole), pool, floats=floats)
            return out
        found = np.empty_like(levels.places)
        _medians(levels.places, size, found, pool)
        for plane, places in zip(target, found, strict=True):
            plane[...] = levels.values.take(places)
    return out


def _medians(array: Array, size: int, out: Array, pool: Threads, *, floats: bool = False) -> None:
    """With ``floats`` the whole numbers are the bits of such."""
    _, height, width = array.shape
    rows = max(1, _BAND // (2 * array.itemsize * width)) * 2
    bands = [(y, min(y + rows, height)) for y in range(0, height, rows)]
    pool.map(
        lambda band: _band(_Planes(array, size, band, floats=floats), out[:, slice(*band)]), bands
    )


def _band(planes: _Planes, out: Array) -> None:
    """The medians of some rows of all planes, two planes at a time."""
    depth, radius, last = len(out), planes.size // 2, _programs(planes.size).last
    for z in range(0, depth, 2):  # planes z and z + 1 share all but their first and last
        shared = planes.inner(z)
        for place, plane in ((z, z - radius), (z + 1, z + 1 + radius)):
            if place < depth:
                (found,) = last.run([*shared, *planes.square(plane)], planes.room)
                planes.place(found, out[place])


class _Planes:
    """Sorted squares about the voxels of some rows, plane by plane; the last few are kept.

    An array has the even ones of the rows, then the odd ones: two that are neighbours share all but one row
    of their squares. It is flat, and behind each row lie ``size - 1`` voxels of no meaning.
    """

    def __init__(self, array: Array, size: int, rows: tuple[int, int], *, floats: bool) -> None:
        self._array, self.size, self._programs = array, size, _programs(size)
        self._floats = floats
        self.room: Room = {}
        self._kept: dict[tuple[Program, int], tuple[int, list[Array]]] = {}
        self._pairs = (rows[1] - rows[0] + 1) // 2
        self._beyond = radius = size // 2
        read = np.arange(rows[0] - radius, rows[0] + 2 * self._pairs + radius)
        read = read.clip(0, array.shape[1] - 1)
        self._read = np.concatenate([read[0::2], read[1::2]])
        self._pitch = array.shape[2] + size - 1
        voxels = len(read) * self._pitch
        flat = np.zeros(voxels + size - 1, array.dtype)
        self._wide = flat[:voxels].reshape(-1, self._pitch)
        self._columns = [flat[k : k + voxels] for k in range(size)]
        self._prepare()

    def inner(self, z: int) -> list[Array]:
        """What matters of all planes that the cubes of planes ``z`` and ``z + 1`` share."""
        if self.size == 3:
            return self._two(z)
        return self._programs.inner.run([*self._two(z - 1), *self._two(z + 1)], self.room)

    def square(self, plane: int) -> list[Array]:
        """``size²`` arrays in order of their values; planes beyond the ends are the outermost."""
        plane = min(max(plane, 0), len(self._array) - 1)
        return self._once(
            self._programs.square, plane, self.size + 1, lambda: self._read_plane(plane)
        )

    def place(self, found: Array, target: Array) -> None:
        """Write an array's voxels where they belong: into a plane's rows."""
        if self._floats:
            _turn(found)
        rows = found.reshape(2, self._pairs, self._pitch)[:, :, : target.shape[1]]
        for parity in (0, 1):
            own = target[parity::2]
            np.copyto(own, rows[parity, : len(own)])

    def _two(self, plane: int) -> list[Array]:
        """Of the squares of a plane and the next one."""
        turns = 1 if self.size == 3 else 4  # at 5, those of every other plane serve twice
        return self._once(
            self._programs.two,
            plane,
            turns,
            lambda: [*self.square(plane), *self.square(plane + 1)],
        )

    def _once(
        self, program: Program, plane: int, turns: int, inputs: Callable[[], Sequence[Array]]
    ) -> list[Array]:
        """What a program makes of a plane, which is kept until its turn comes again."""
        turn = plane % turns
        known, run = self._kept.get((program, turn), (None, []))
        if known != plane:
            run = program.run(inputs(), self.room, turn)
            self._kept[program, turn] = plane, run
        return run

    def _read_plane(self, plane: int) -> list[Array]:
        """The inner rows of two neighbours' squares as one run, and the line that each has of its own."""
        wide, beyond = self._wide, self._beyond
        wide[:, beyond:-beyond] = self._array[plane][self._read]
        if self._floats:
            _turn(wide)
        for k in range(beyond):
            wide[:, k] = wide[:, beyond]
            wide[:, -1 - k] = wide[:, -1 - beyond]
        for program, inputs in self._steps:
            program.run(inputs, self.room)
        return self._lines

    def _prepare(self) -> None:
        """What is done to each plane, and where its results lie: in the same arrays every time."""
        programs, pitch = self._programs, self._pitch
        self._steps: list[tuple[Program, list[Array]]] = []

        def step(program: Program, inputs: list[Array]) -> list[Array]:
            self._steps.append((program, inputs))
            return program.run(inputs, self.room)

        lines = step(programs.line, self._columns)
        half = len(lines[0]) // 2
        length = half - pitch
        odd = [each[half : half + length] for each in lines]
        inner = step(programs.pair, [*odd, *(each[pitch:half] for each in lines)])
        if self.size == 5:
            length -= pitch
            first = [each[:length] for each in inner]
            inner = step(programs.four, [*first, *(each[pitch:] for each in inner)])
        own = half + self._beyond * pitch  # from an even row's own line to that of the odd one
        self._lines = [_twice(each, 0, length) for each in inner]
        self._lines += [_twice(each, own, length) for each in lines]


def _turn(bits: Array) -> None:
    """Turn the bits of floats into whole numbers that ascend as the floats do, or back."""
    negative = bits >> (8 * bits.itemsize - 1)
    negative &= np.iinfo(bits.dtype).max
    bits ^= negative


def _twice(flat: Array, apart: int, length: int) -> Array:
    """Two rows of a flat array, the second of which begins ``apart`` voxels after the first."""
    strides = apart * flat.itemsize, flat.itemsize
    return np.ndarray((2, length), flat.dtype, flat.data, 0, strides)


class _Programs:
    """The networks of one size: along x, along y in steps, and along z in steps."""

    def __init__(self, size: int) -> None:
        square = size * size
        others = square * (size - 1)
        rank = (size**3 + 1) // 2
        first = (
            rank - square
        )  # of the planes that two cubes share; below that no voxel is the median
        self.line = Program(size, sorted_run)
        self.pair = Program(2 * size, _halves_merged)
        self.four = Program(4 * size, _halves_merged)
        self.square = Program(square, lambda n: merged(n[:-size], n[-size:]))
        kept = slice(first - 1, rank)
        if size == 3:
            self.two = Program(others, lambda n: _halves_merged(n)[kept])
        else:
            self.two = Program(2 * square, _halves_merged)
            self.inner = Program(others, lambda n: _halves_merged(n)[kept])
        self.last = Program(
            2 * square + 1,
            lambda n: [ranked([*[None] * (first - 1), *n[: square + 1]], n[square + 1 :], rank)],
        )


def _halves_merged(nodes: list[Node]) -> list[Node]:
    half = len(nodes) // 2
    return merged(nodes[:half], nodes[half:])


@cache
def _programs(size: int) -> _Programs:
    return _Programs(size)
