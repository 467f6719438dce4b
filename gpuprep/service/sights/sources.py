"""Sources that were read for viewers, the last ones kept while they fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from gpuprep.host.resources import available_memory
from gpuprep.preprocess.assemble import Assembled

_MOST_BYTES = 2 << 30
_SHARE = 4  # one part in so many of the memory that is free


class Sources:
    """Reads one source at a time: each may be large, and a reader is a process of its own."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """Args: bytes of decoded voxels that are kept, and that one source may have."""
        self.most_bytes = most_bytes or min(_MOST_BYTES, available_memory() // _SHARE)
        self._kept: OrderedDict[Hashable, Assembled] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, read: Callable[[], Assembled]) -> Assembled:
        """What a source holds, as it was read before or is read now; raises as ``read`` does."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                found = read()
                self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._bytes() > self.most_bytes:
                self._kept.popitem(last=False)
            return found

    def _bytes(self) -> int:
        return sum(map(_size, self._kept.values()))


def _size(found: Assembled) -> int:
    return sum(array.nbytes for array in (*found.channels, *found.labels.values()))
