"""Arrays that were handed out to whoever works on another stream, and when their memory may be used again.

CuPy gives memory that was dropped to the next array of the stream it was made on, at once. A training that
has queued work on a batch and dropped it would find the next batch's voxels there. Waiting for all that it
has queued would be right, and no batch would be made while it works. So arrays are kept until nobody else
holds them, and one turn longer: then only the work of two batches ago must be done, as it is in most cases.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from gpuprep.device.driver import Event


class Lent:
    """The arrays of the last batches; for one thread at a time."""

    def __init__(self) -> None:
        self._held: list[Any] = []
        self._dropped: list[Any] = []
        self._mark: Event | None = None

    def add(self, array: Any) -> None:
        """Keep an array, or what it is a view of."""
        self._held.append(array if array.base is None else array.base)

    def turn(self, mark: Event) -> Event | None:
        """Between two batches: let go of what was found dropped a turn ago, and find what is dropped now.

        Args:
            mark: Behind everything that was queued until now on the stream that uses the arrays.

        Returns:
            What work in memory taken from now on must follow; None where that was never handed out.
        """
        behind, self._mark = self._mark, mark
        alone = [count <= _ALONE for count in _owners(self._held)]
        self._dropped = [array for array, free in zip(self._held, alone, strict=True) if free]
        self._held = [array for array, free in zip(self._held, alone, strict=True) if not free]
        return behind


def _owners(arrays: Sequence[Any]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


_ALONE = _owners([object()])[0]  # what is counted for a list that holds the only reference
