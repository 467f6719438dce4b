"""Shards: many compressed chunks in one file (Zarr v3 ``sharding_indexed``, index at the end).

A shard is its chunks in C order, each followed by its CRC32C, then one ``(offset, length)`` pair per
chunk and the CRC32C of those pairs. A chunk of zeros only is not stored; its pair is all ones. The
bytes depend on the voxels and the codec, never on the number of threads.

C order leaves rows of chunks side by side: of a volume of 150×365×365 voxels in chunks of 32³, a random
patch of 96³ is 16 pieces of the file, and would be 23 in Morton order.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from gpuprep.host.ordered import ordered_map
from gpuprep.store.codecs import CRC_BYTES, Encode
from gpuprep.store.files import FileSeal, write_file
from gpuprep.store.indexing import rows_of
from gpuprep.store.layout import Index
from gpuprep.values.errors import StoreError
from gpuprep.values.volume import Chunked

MISSING = -1  # the all-ones offset and length of an absent chunk, read as int64

Row = list[bytes | None]  # compressed chunks along the last axis, None for one of zeros only

_CRC = struct.Struct("<I")


def write_shard(
    path: Path,
    region: NDArray[Any] | Chunked,
    *,
    chunk: Sequence[int],
    grid: Sequence[int],
    dtype: np.dtype[Any],
    encode: Encode,
    threads: int = 1,
    fsync: bool = True,
) -> FileSeal:
    """Compress ``region`` into one shard file; returns the file's size and CRC32C.

    Args:
        path: The shard's file; it appears whole or not at all.
        region: The voxels of this shard, any view or cut already; shorter than the shard at the border.
        chunk: Shape of one chunk; border chunks are filled up with zeros.
        grid: Chunks of the shard along each axis.
        dtype: Little-endian dtype as stored.
        encode: Turns one C-contiguous chunk into its compressed bytes.
        threads: Threads that compress; the caller's thread writes.
        fsync: Wait until the bytes are on the disk.
    """

    def encode_row(lead: Index) -> Row:
        return [_encode_chunk(block, encode) for block in _row_of(region, lead, grid, chunk, dtype)]

    rows = itertools.product(*map(range, grid[:-1]))
    chunks = itertools.chain.from_iterable(
        ordered_map(encode_row, rows, threads if threads > 1 else 0)
    )
    return write_encoded_shard(path, chunks, count=math.prod(grid), fsync=fsync)


def write_encoded_shard(
    path: Path, chunks: Iterable[bytes | None], *, count: int, fsync: bool = True
) -> FileSeal:
    """Write ``count`` chunks compressed elsewhere, in C order and without CRC, as one shard.

    ``None`` stands for a chunk of zeros only.

    Raises:
        StoreError: there are more or fewer chunks than ``count``, or the disk refuses.
        RunStopped: the disk is full.
    """
    return write_file(path, _shard_pieces(path, chunks, count), fsync=fsync)


def _shard_pieces(path: Path, chunks: Iterable[bytes | None], count: int) -> Iterator[bytes]:
    pairs: list[tuple[int, int]] = []
    offset = 0
    for payload in chunks:
        if payload is None:
            pairs.append((MISSING, MISSING))
            continue
        yield payload
        yield _CRC.pack(google_crc32c.value(payload))
        length = len(payload) + CRC_BYTES
        pairs.append((offset, length))
        offset += length
    if len(pairs) != count:
        raise StoreError(f"{path}: got {len(pairs)} chunks for a shard of {count}")
    index = np.array(pairs, "<i8").tobytes()
    yield index
    yield _CRC.pack(google_crc32c.value(index))


def _encode_chunk(block: NDArray[Any], encode: Encode) -> bytes | None:
    """The compressed chunk; None where it holds zeros only."""
    # As integers: float16 comparisons are slow, and a stored -0.0 must stay one. Most often the first
    # voxel tells already.
    bits = block.view(f"u{block.itemsize}").reshape(-1)
    return encode(block) if bits[0] or bits.any() else None


def _row_of(
    region: NDArray[Any] | Chunked,
    lead: Index,
    grid: Sequence[int],
    chunk: Sequence[int],
    dtype: np.dtype[Any],
) -> Iterable[NDArray[Any]]:
    """The chunks of a row along the last axis; a plain array's are copied all at once, which is faster."""
    count, edge = grid[-1], chunk[-1]
    if isinstance(region, Chunked) or region.ndim < 2:
        return [_chunk_of(region, (*lead, last), chunk, dtype) for last in range(count)]
    inside = region[tuple(slice(k * n, (k + 1) * n) for k, n in zip(lead, chunk, strict=False))]
    whole, rest = divmod(inside.shape[-1], edge)
    full = inside.shape[:-1] == tuple(chunk[:-1]) and whole == count
    blocks = (np.empty if full else np.zeros)((count, *chunk), dtype)
    cut = inside[..., : whole * edge].reshape(*inside.shape[:-1], whole, edge)
    places = np.moveaxis(blocks, 0, -2)[tuple(map(slice, inside.shape[:-1]))]
    _copy_rows(places[..., :whole, :], cut)
    if rest:
        _copy_rows(places[..., whole, :rest], inside[..., whole * edge :])
    return blocks


def _copy_rows(place: NDArray[Any], voxels: NDArray[Any]) -> None:
    """Copy voxels, those along the last axis at once where they lie side by side."""
    if voxels.dtype == place.dtype and voxels.strides[-1] == place.itemsize and voxels.size:
        whole = slice(0, voxels.shape[-1])
        rows_of(place, whole)[...] = rows_of(voxels, whole)
    else:
        place[...] = voxels


def sample_chunks(
    region: NDArray[Any] | Chunked, chunk: Sequence[int], dtype: np.dtype[Any]
) -> Iterator[NDArray[Any]]:
    """Three chunks along the diagonal of an array, where the subject is."""
    for quarter in (1, 2, 3):
        corner = tuple(
            -(-n // edge) * quarter // 4 for n, edge in zip(region.shape, chunk, strict=True)
        )
        yield _chunk_of(region, corner, chunk, dtype)


def _chunk_of(
    region: NDArray[Any] | Chunked, corner: Index, chunk: Sequence[int], dtype: np.dtype[Any]
) -> NDArray[Any]:
    """The voxels of a chunk, C-contiguous, filled up with zeros at the border."""
    if isinstance(region, Chunked):
        if any(k >= n for k, n in zip(corner, region.blocks.shape, strict=False)):
            return np.zeros(chunk, dtype)  # the shard goes on beyond the array
        return np.ascontiguousarray(region.blocks[corner], dtype)
    inside = region[tuple(slice(k * n, (k + 1) * n) for k, n in zip(corner, chunk, strict=True))]
    block = (np.empty if inside.shape == tuple(chunk) else np.zeros)(chunk, dtype)
    _copy_rows(block[tuple(map(slice, inside.shape))], inside)
    return block
