"""Our own threads: the one place where array work is spread over cores.

BLAS is expected to run on one thread (the worker sees to it); NumPy releases the interpreter lock in
its loops, so threads over independent pieces scale. What a piece computes never depends on how many
threads there are, so neither do results.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from numpy.typing import NDArray

_VOXELS = 1 << 18

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Threads:
    """A pool that applies a function to pieces, in order of the pieces; one thread means no pool."""

    def __init__(self, pool: ThreadPoolExecutor | None, count: int) -> None:
        self._pool = pool
        self.count = count

    def map(self, function: Callable[[Piece], Result], pieces: Iterable[Piece]) -> list[Result]:
        """The results in the order of ``pieces``; the first error is raised."""
        if self._pool is None:
            return [function(piece) for piece in pieces]
        return list(self._pool.map(function, pieces))


@contextmanager
def open_threads(count: int) -> Iterator[Threads]:
    """A pool of ``count`` threads for the length of a ``with`` block."""
    if count <= 1:
        yield Threads(None, 1)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="gpuprep-ops") as pool:
        yield Threads(pool, count)


def split(pieces: Sequence[Piece], groups: int) -> list[Sequence[Piece]]:
    """At most ``groups`` runs of neighbouring pieces, near equal in length, none empty."""
    groups = max(1, min(groups, len(pieces)))
    edges = [len(pieces) * k // groups for k in range(groups + 1)]
    return [pieces[a:b] for a, b in itertools.pairwise(edges) if b > a]


class Pieces:
    """The voxels of an array (where ``mask`` is not zero), a bounded number at a time.

    The cut depends on shape and strides only. ``pieces[k]`` is one-dimensional; it is made when asked
    for, so that threads share the work and few pieces exist at once.
    """

    def __init__(self, array: NDArray[Any], mask: NDArray[Any] | None = None) -> None:
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        self._array = array.transpose(order)
        self._mask = None if mask is None else mask.transpose(order)
        self._parts = _cut(self._array.shape)

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, k: int) -> NDArray[Any]:
        part = self._array[self._parts[k]]
        if self._mask is None:
            return part.reshape(-1)
        return part[self._mask[self._parts[k]] != 0]


def _cut(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Index tuples that cover the shape, each of about 2¹⁸ voxels: runs of slices, or of rows of one."""
    if not shape or math.prod(shape) == 0:
        return [()] if math.prod(shape) else []
    inner = math.prod(shape[1:])
    if inner > 2 * _VOXELS and len(shape) > 1:
        below = _cut(shape[1:])
        return [(slice(k, k + 1), *part) for k in range(shape[0]) for part in below]
    step = max(1, _VOXELS // inner)
    return [(slice(k, k + step),) for k in range(0, shape[0], step)]
