"""A shard on an object store: its index by one request for the end, the chunks of a patch by few.

Every request names the version (etag) that the index came from, so chunks of two shards never mix.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.codecs import Bytes
from gpuprep.store.files import CaseVersion, replaced_meanwhile
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.open_shard import OpenShard, ReadPolicy, index_bytes, parse_index

_GAP = 256 << 10  # bytes that cost less to fetch along than another request
_REQUESTS = 8  # at once

Span = tuple[int, int]


class ObjectShard(OpenShard):
    """The chunks of one shard object; ``holding`` fetches those that are asked for next."""

    def __init__(
        self,
        case: ObjectPath,
        name: str,
        grid: Sequence[int],
        policy: ReadPolicy,
        version: CaseVersion | None,
    ) -> None:
        """Fetch and check the index of the shard ``name`` of a case, which must be the one of ``version``.

        Raises:
            CorruptStoreError: the shard is absent or cut, or its index is damaged.
            StoreError: another case took the place of this one.
        """
        path = case / name
        self._check = policy.crc != "never"
        self._checked: set[int] | None = set() if policy.crc == "first" else None
        length = index_bytes(grid)
        sealed, stored = path.read({"suffix": length})
        self.index = parse_index(bytes(sealed), stored.size - length, path, grid)
        self._path, self._etag = path, stored.etag
        self._bytes = self._fetch
        if version is not None and case.version() != version:
            raise replaced_meanwhile(case)

    def holding(self, pairs: Iterable[Sequence[int]]) -> OpenShard:
        """A view of the shard with these chunks in memory, fetched in as few requests as is wise."""
        spans = join_spans([(offset, offset + length) for offset, length in pairs if offset >= 0])
        with ThreadPoolExecutor(_REQUESTS, thread_name_prefix="gpuprep-fetch") as pool:
            fetched = list(pool.map(lambda span: self._fetch(span[0], span[1] - span[0]), spans))
        starts = [start for start, _ in spans]

        def held(offset: int, length: int) -> Bytes:
            place = int(np.searchsorted(starts, offset, "right")) - 1
            low = offset - starts[place]
            return fetched[place][low : low + length]

        view = copy.copy(self)
        view._bytes = held
        return view

    def _fetch(self, offset: int, length: int) -> NDArray[np.uint8]:
        content, _ = self._path.read((offset, offset + length), etag=self._etag)
        return np.frombuffer(content, np.uint8)


def join_spans(spans: Sequence[Span]) -> list[Span]:
    """Byte ranges in order, neighbours with a small gap between them made one."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
