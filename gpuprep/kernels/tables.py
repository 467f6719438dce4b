"""Weights and indices on a device, kept from case to case: a geometry that comes again uploads nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any

from numpy.typing import NDArray


class Tables:
    """Small constant arrays on a device, at most ``limit_bytes`` of them; the longest unused go first.

    Every queue (a device and a stream) has its own: the upload, the kernels that read it, and the reuse of
    its memory once it has gone are then in one order, and no thread waits for another's stream.
    """

    def __init__(self, xp: Any, queue: Callable[[], Hashable], limit_bytes: int = 16 << 20) -> None:
        self._xp = xp
        self._queue = queue
        self._limit = limit_bytes
        self._kept: OrderedDict[Hashable, tuple[Any, ...]] = OrderedDict()
        self._lock = Lock()
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], Sequence[NDArray[Any]]]) -> tuple[Any, ...]:
        """The tables of a key on the current queue; ``make`` gives them where they are not there yet.

        The key is kept as long as its tables, so that objects may stand for themselves in it.
        """
        place = self._queue(), key
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        tables = tuple(self._xp.asarray(table) for table in make())
        with self._lock:
            self.bytes -= _size(self._kept.pop(place, ()))
            self._kept[place] = tables
            self.bytes += _size(tables)
            while self.bytes > self._limit and len(self._kept) > 1:
                self.bytes -= _size(self._kept.popitem(last=False)[1])
        return tables


def _size(tables: Sequence[Any]) -> int:
    return sum(table.nbytes for table in tables)
