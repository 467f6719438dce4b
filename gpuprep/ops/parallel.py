"""Our own threads: the one place where array work is spread over cores.

BLAS is expected to run on one thread (the worker sees to it); NumPy releases the interpreter lock in
its loops, so threads over independent pieces scale. What a piece computes never depends on how many
threads there are, so neither do results.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

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
