"""Reading one stored array: boxes of voxels straight from its shards.

Only the chunks a box touches are decoded. Nothing runs at rest (no thread, no lock, no event loop), so an
array may be used by several threads, after ``fork``, and be pickled to another process, where it opens
its files anew. Open shards are kept, but no more than a quarter of the files a process may have open.

An array belongs to the case that it was opened from. Where another case took that one's place, shards that
are open stay readable, and opening a further one is an error: voxels of two cases never mix.
"""

from __future__ import annotations

import itertools
import resource
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.store.codecs import Bytes, check_frame
from gpuprep.store.files import CaseVersion
from gpuprep.store.indexing import Piece, cut_range, plan_index, rows_of
from gpuprep.store.layout import CASE_SUFFIX, GROUP_FILE, Index
from gpuprep.store.metadata import parse_array
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.shard import ObjectShard
from gpuprep.store.open_shard import OpenShard, ReadPolicy
from gpuprep.store.places import to_place
from gpuprep.values.errors import CorruptStoreError

_OPEN_LIMIT = max(16, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16) // 4)
_opened: deque[tuple[weakref.ref[StoredArray], Index]] = deque()

Box = tuple[slice, ...]
Run = tuple[list[list[int]], Box, Box]
"""Offset and length of chunks along the last axis, which of their rows are wanted, where those go."""


class StoredArray:
    """An array of a stored case, indexed like a NumPy array; every read returns a fresh array.

    Indices may be integers, slices with any step, and ``...``. Chunks that were not stored read as the
    fill value 0; a missing or damaged file is an error.

    Attributes:
        codec: What compresses a chunk: ``blosc``, ``zstd``, or empty for nothing.
    """

    def __init__(
        self,
        case: str | Path | ObjectPath,
        name: str,
        policy: ReadPolicy | None = None,
        *,
        version: CaseVersion | None = None,
        document: bytes | None = None,
    ) -> None:
        """Open the array ``name`` (``0``, ``labels/liver/0``) of the folder ``case``.

        Args:
            case: The case's folder.
            name: The array's path inside it.
            policy: How to read it.
            version: Which case the folder must hold; by default the one that is there now.
            document: Its ``zarr.json`` where that was read already.

        Raises:
            CorruptStoreError: its ``zarr.json`` is absent or damaged.
            StoreError: it has a form that only zarr-python reads.
        """
        self._case = to_place(case)
        self._name = name
        self._policy = policy or ReadPolicy()
        self._version = version or self._case.version()
        file = f"{name}/{GROUP_FILE}"
        text = document or self._case.document(file, version=self._version)
        stored = parse_array(text, f"{self._case / file}")
        self._layout = stored.layout
        self._decode = stored.decode
        self.codec = stored.codec
        self._shards: dict[Index, OpenShard] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return StoredArray, (self._case, self._name, self._policy)

    def __repr__(self) -> str:
        return f"<StoredArray {self._name} of {self._case.name}: {self.dtype} {self.shape}>"

    @property
    def case_id(self) -> str:
        """The id of the case that it belongs to."""
        return self._case.name.removesuffix(CASE_SUFFIX)

    def __enter__(self) -> StoredArray:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open; a later read opens what it needs."""
        self._shards.clear()

    @property
    def shape(self) -> Index:
        return self._layout.shape

    @property
    def ndim(self) -> int:
        return len(self._layout.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._layout.dtype

    @property
    def chunks(self) -> Index:
        """Shape of one chunk: a box that starts and ends at multiples of it wastes no decoding."""
        return self._layout.chunk

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,  # noqa: FBT001  (NumPy's protocol)
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a stored array cannot become a NumPy array without a copy")
        voxels = self.read([0] * self.ndim, self.shape)
        return voxels if dtype is None else voxels.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Any:
        """Voxels as NumPy's basic indexing gives them; an integer in every place gives one number.

        Raises:
            IndexError: an integer is out of bounds, there are too many indices, or an index is of a
                kind that is not supported.
            CorruptStoreError: a file or chunk is missing or damaged.
            StoreError: another case took the place of this one.
        """
        start, stop, within = plan_index(key, self.shape)
        return self.read(start, stop)[within]

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """The dense box from ``start`` up to, not including, ``stop`` (one integer per axis).

        Raises:
            IndexError: the box leaves the array.
            CorruptStoreError: a file or chunk is missing or damaged.
            StoreError: another case took the place of this one.
        """
        inside = len(start) == len(stop) == self.ndim and all(
            0 <= low <= high <= n for low, high, n in zip(start, stop, self.shape, strict=True)
        )
        if not inside:
            raise IndexError(
                f"box {tuple(start)} to {tuple(stop)} leaves the array of shape {self.shape}"
            )
        out = np.empty([high - low for low, high in zip(start, stop, strict=True)], self.dtype)
        axes = [cut_range(*ends) for ends in zip(start, stop, self._layout.shard, strict=True)]
        for pieces in itertools.product(*axes):
            key, source, target = zip(*pieces, strict=True)
            self._read_shard(key, source, out[target])
        return out

    def _read_shard(self, key: Index, box: Box, out: NDArray[Any]) -> None:
        """Fill ``out`` from the voxels ``box`` of one shard."""
        shard = self._shards.get(key) or self._open_shard(key)
        *leading, last = [
            cut_range(part.start, part.stop, n)
            for part, n in zip(box, self._layout.chunk, strict=True)
        ]
        chunks = tuple(slice(pieces[0][0], pieces[-1][0] + 1) for pieces in (*leading, last))
        pairs = shard.index[chunks].reshape(-1, len(last), 2).tolist()
        sources = itertools.product(*([source for _, source, _ in pieces] for pieces in leading))
        targets = itertools.product(*([target for _, _, target in pieces] for pieces in leading))
        shard = shard.holding(itertools.chain.from_iterable(pairs))
        runs = list(zip(pairs, sources, targets, strict=True))
        threads = min(self._policy.threads, len(runs))
        if threads == 1:
            self._fill(out, shard, key, last, runs)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="gpuprep-decode") as pool:
            shares = [runs[first::threads] for first in range(threads)]
            list(pool.map(lambda share: self._fill(out, shard, key, last, share), shares))

    def _fill(
        self, out: NDArray[Any], shard: OpenShard, key: Index, last: list[Piece], runs: list[Run]
    ) -> None:
        """Decode runs of chunks along the last axis and copy the rows of voxels that are wanted."""
        block = np.empty(self.chunks, self.dtype)
        columns = [(rows_of(block, source), rows_of(out, target)) for _, source, target in last]
        for pairs, source, target in runs:
            sealed = shard.fetch(pairs)
            for (offset, _), chunk, (rows, places) in zip(pairs, sealed, columns, strict=True):
                try:
                    self._decode_chunk(shard, offset, chunk, block)
                except (ValueError, RuntimeError) as error:
                    raise self._damaged(key, offset, error) from error
                places[target] = rows[source]

    def _decode_chunk(
        self, shard: OpenShard, offset: int, sealed: Bytes | None, block: NDArray[Any]
    ) -> None:
        if sealed is None:
            block.fill(0)
        else:
            self._decode(shard.unseal(offset, sealed), block)

    def frame(self, chunk: Index) -> Bytes | None:
        """The zstd frame of a chunk, counted from the array's first; None for one of zeros only.

        Raises:
            CorruptStoreError: it is missing, damaged, or no frame of one chunk.
            StoreError: another case took the place of this one.
        """
        key, place = zip(*map(divmod, chunk, self._layout.grid), strict=True)
        shard = self._shards.get(key) or self._open_shard(key)
        offset, length = shard.index[place].tolist()
        if offset < 0:
            return None
        try:
            frame = shard.chunk(offset, length)
            check_frame(frame, self._layout.chunk_bytes)
        except ValueError as error:
            raise self._damaged(key, offset, error) from error
        return frame

    def _damaged(self, key: Index, offset: int, error: Exception) -> CorruptStoreError:
        return CorruptStoreError(
            f"{self._case / self._name / self._layout.shard_file(key)}: "
            f"the chunk at byte {offset:,} is damaged: {error}",
            advice=f"delete {self._case} and run again; 'gpuprep verify --full' lists all damage",
        )

    def _open_shard(self, key: Index) -> OpenShard:
        name = f"{self._name}/{self._layout.shard_file(key)}"
        grid, policy, version = self._layout.grid, self._policy, self._version
        if isinstance(self._case, ObjectPath):
            remote = self._shards[key] = ObjectShard(self._case, name, grid, policy, version)
            return remote
        descriptor = self._case.open_inside(name, version=version)
        shard = OpenShard(descriptor, self._case / name, grid, policy)
        self._shards[key] = shard
        _opened.append((weakref.ref(self), key))
        while len(_opened) > _OPEN_LIMIT:
            owner, oldest = _opened.popleft()
            array = owner()
            if array is not None:
                array._shards.pop(oldest, None)
        return shard

    def damage(self) -> Iterator[tuple[str, str]]:
        """Decode every chunk of every shard; yields (file inside the case, what is wrong with it)."""
        block = np.empty(self.chunks, self.dtype)
        for key in self._layout.shard_keys():
            name = f"{self._name}/{self._layout.shard_file(key)}"
            try:
                shard = self._open_shard(key)
            except CorruptStoreError as error:
                yield name, error.message
                continue
            pairs = shard.index.reshape(-1, 2).tolist()
            shard = shard.holding(pairs)
            for offset, length in pairs:
                if offset < 0:
                    continue
                try:
                    self._decode(shard.chunk(offset, length), block)
                except (ValueError, RuntimeError) as error:
                    yield name, f"the chunk at byte {offset:,} is damaged: {error}"
