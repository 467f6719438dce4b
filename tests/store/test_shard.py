"""Shards: any array round-trips, the bytes do not depend on threads, and half a file is never left."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.zstd import Zstd

from gpuprep.store import files, layout
from gpuprep.store.array import StoredArray
from gpuprep.store.codecs import PRESETS, preset
from gpuprep.store.files import write_file
from gpuprep.store.layout import plan_array
from gpuprep.store.metadata import array_document, to_text
from gpuprep.store.ome import axis_names
from gpuprep.store.shard import write_encoded_shard, write_shard
from gpuprep.values.errors import CorruptStoreError, RunStopped, StoreError, UsageError

DTYPES = ["u1", "i1", "u2", "i2", "i4", "f2", "f4"]


def store_array(folder: Path, array: np.ndarray, chunk: int, codec: str, threads: int) -> None:
    """One array of a case as ``write_case`` writes it."""
    plan = plan_array(array.shape, array.dtype, chunk)
    words = preset(codec, plan.dtype)
    for key in plan.shard_keys():
        write_shard(
            folder / "0" / plan.shard_file(key),
            array[plan.region(key)],
            chunk=plan.chunk,
            grid=plan.grid,
            dtype=plan.dtype,
            encode=words.encode,
            threads=threads,
            fsync=False,
        )
    document = to_text(array_document(plan, words, axis_names(array.ndim)), "0")
    write_file(folder / "0" / "zarr.json", [document], fsync=False)


def sparse_voxels(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Numbers of every bit pattern a dtype has, with stretches of zeros that leave chunks empty."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    voxels = raw.view(dtype).reshape(shape)
    voxels[..., : shape[-1] // 2] = 0
    return voxels


@st.composite
def shapes(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    chunk = draw(st.sampled_from([8, 16, 32]))
    edges = st.sampled_from([1, 2, chunk - 1, chunk, chunk + 1])
    shape = draw(st.tuples(edges, edges, edges))
    channels = draw(st.sampled_from([(), (1,), (3,)]))
    return (*channels, *shape), chunk


@settings(max_examples=60, deadline=None)
@given(shapes(), st.sampled_from(DTYPES), st.sampled_from(PRESETS), st.integers(0, 99))
def test_round_trip(tmp_path_factory, cut, dtype, codec, seed):
    shape, chunk = cut
    voxels = sparse_voxels(shape, dtype, seed)
    folder = tmp_path_factory.mktemp("case")
    store_array(folder, voxels, chunk, codec, threads=1)
    for back in (StoredArray(folder, "0")[...], zarr.open_array(folder / "0", mode="r")[...]):
        assert back.dtype == voxels.dtype
        assert back.shape == voxels.shape
        assert back.tobytes() == voxels.tobytes()  # NaN payloads and -0.0 included


@pytest.mark.parametrize("codec", PRESETS)
def test_bytes_do_not_depend_on_threads(tmp_path, codec):
    voxels = sparse_voxels((40, 50, 60), "i2", 1)
    written = []
    for threads in (1, 2, 3):
        store_array(tmp_path / str(threads), voxels, 8, codec, threads)
        written.append((tmp_path / str(threads) / "0/c.0.0.0").read_bytes())
    assert written[0] == written[1] == written[2]


def test_views_and_foreign_byte_order(tmp_path):
    voxels = sparse_voxels((20, 21, 22), ">i2", 2)
    turned = voxels.transpose(2, 0, 1)[::-1, :, ::-1]
    store_array(tmp_path, turned, 8, "balanced", threads=1)
    np.testing.assert_array_equal(StoredArray(tmp_path, "0")[...], turned)


def test_large_arrays_are_cut_into_several_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "SHARD_LIMIT", 1000)
    monkeypatch.setattr(layout, "SHARD_EDGE", 20)
    voxels = sparse_voxels((2, 33, 16, 40), "f2", 3)
    store_array(tmp_path, voxels, 8, "fast", threads=2)
    array = StoredArray(tmp_path, "0")
    assert len(list((tmp_path / "0").glob("c.*"))) > 8
    assert zarr.open_array(tmp_path / "0", mode="r").shards == (1, 16, 16, 16)
    assert array[...].tobytes() == voxels.tobytes()
    np.testing.assert_array_equal(array[1, 5:30, 3:14, ::3], voxels[1, 5:30, 3:14, ::3])


def test_empty_chunks_are_not_stored_but_minus_zero_is(tmp_path):
    voxels = np.zeros((16, 16, 16), "f4")
    store_array(tmp_path / "zeros", voxels, 8, "balanced", threads=1)
    assert (tmp_path / "zeros/0/c.0.0.0").stat().st_size == 8 * 16 + 4
    voxels[15, 0, 0] = -0.0
    store_array(tmp_path / "minus", voxels, 8, "balanced", threads=1)
    assert np.signbit(StoredArray(tmp_path / "minus", "0")[15, 0, 0])


def test_seal_is_the_crc32c_of_the_file(tmp_path):
    path = tmp_path / "c"
    chunks = [b"abc", None, b"", b"x" * 10_000]
    seal = write_encoded_shard(path, chunks, count=4)
    text = path.read_bytes()
    assert (seal.size, seal.crc32c) == (len(text), google_crc32c.value(text))


@pytest.mark.parametrize("count", [1, 3])
def test_wrong_number_of_chunks_leaves_nothing(tmp_path, count):
    with pytest.raises(StoreError, match=f"2 chunks for a shard of {count}"):
        write_encoded_shard(tmp_path / "c", [b"abc", None], count=count)
    assert not any(tmp_path.iterdir())


def test_chunks_compressed_elsewhere_are_read(tmp_path):
    """A zstd frame without content size, as a GPU may write it, decodes in our reader and in zarr's."""
    voxels = sparse_voxels((8, 8, 16), "i2", 4)
    store_array(tmp_path, voxels, 8, "gpu", threads=1)
    halves = [voxels[..., :8], voxels[..., 8:]]
    frames = [sizeless_frame(half.tobytes()) if half.any() else None for half in halves]
    write_encoded_shard(tmp_path / "0/c.0.0.0", frames, count=2)
    for back in (StoredArray(tmp_path, "0"), zarr.open_array(tmp_path / "0", mode="r")):
        np.testing.assert_array_equal(back[...], voxels)


def sizeless_frame(payload: bytes) -> bytes:
    """One raw block in a zstd frame that does not say how long its content is (RFC 8878, 3.1.1)."""
    last_raw_block = (1 | len(payload) << 3).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x58" + last_raw_block + payload


def test_full_disk_stops_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(RunStopped, match=r"No space left.*bytes are free") as caught:
        write_encoded_shard(tmp_path / "a/b/c", [b"abc"], count=1)
    assert "run the same command again" in caught.value.advice
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_write_error_names_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"file/c: cannot be written: File exists"):
        write_encoded_shard(tmp_path / "file" / "c", [b"abc"], count=1)


@pytest.mark.parametrize("size", [0, 3, 40, 132, 140])
def test_cut_shard_is_found_by_its_index(tmp_path, size):
    voxels = sparse_voxels((16, 16, 16), "i2", 5)
    store_array(tmp_path, voxels, 8, "balanced", threads=1)
    path = tmp_path / "0/c.0.0.0"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CorruptStoreError, match="cut"):
        StoredArray(tmp_path, "0")[0, 0, 0]


def test_any_flipped_bit_of_an_index_is_found(tmp_path):
    voxels = sparse_voxels((16, 8, 8), "i2", 5)
    store_array(tmp_path, voxels, 8, "balanced", threads=1)
    path = tmp_path / "0/c.0.0.0"
    sound = path.read_bytes()
    for bit in range(8 * (2 * 16 + 4)):
        flipped = bytearray(sound)
        flipped[-1 - bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptStoreError, match="index"):
            StoredArray(tmp_path, "0")[0, 0, 0]


def test_index_that_points_outside_is_refused(tmp_path):
    voxels = sparse_voxels((8, 8, 8), "i2", 6)
    store_array(tmp_path, voxels, 8, "balanced", threads=1)
    path = tmp_path / "0/c.0.0.0"
    chunk = path.read_bytes()[:-20]
    for pair in [(0, 1 << 40), (1 << 62, 1 << 62), (-2, 10), (0, 4), (-1, 5)]:
        index = np.array(pair, "<i8").tobytes()
        path.write_bytes(chunk + index + google_crc32c.value(index).to_bytes(4, "little"))
        with pytest.raises(CorruptStoreError, match="index"):
            StoredArray(tmp_path, "0")[0, 0, 0]


VOXELS = np.arange(512, dtype="i2").reshape(8, 8, 8)
BLOSC = preset("balanced", VOXELS.dtype).encode(VOXELS)
SHORT = VOXELS.ravel()[:500]


@pytest.mark.parametrize(
    ("codec", "payload"),
    [
        ("balanced", BLOSC[:4] + (512).to_bytes(4, "little") + BLOSC[8:]),  # decodes to less
        ("balanced", BLOSC[:4] + (1 << 30).to_bytes(4, "little") + BLOSC[8:]),  # to far more
        ("balanced", BLOSC[:12] + (1 << 20).to_bytes(4, "little") + BLOSC[16:]),  # reads far beyond
        ("balanced", preset("balanced", VOXELS.dtype).encode(SHORT)),
        ("balanced", BLOSC[:15]),
        ("balanced", BLOSC[:-8]),
        ("gpu", Zstd(1).encode(SHORT)),
        ("gpu", Zstd(1).encode(VOXELS)[:-8]),
        ("gpu", sizeless_frame(SHORT.tobytes())),
        ("gpu", sizeless_frame(VOXELS.tobytes() + b"more")),
        ("gpu", b"not zstd"),
    ],
)
def test_chunk_whose_sizes_lie_is_refused(tmp_path, codec, payload):
    """CRCs guard against rot; the sizes inside a chunk are checked too, or Blosc reads beyond it."""
    store_array(tmp_path, VOXELS, 8, codec, threads=1)
    write_encoded_shard(tmp_path / "0/c.0.0.0", [payload], count=1)
    with pytest.raises(CorruptStoreError, match="chunk at byte 0 is damaged"):
        StoredArray(tmp_path, "0")[...]


def test_unstorable_arrays_and_codecs_are_refused():
    for shape, dtype in [((4, 4), "i2"), ((0, 4, 4), "i2"), ((4, 4, 4), "c8"), ((4, 4, 4), "O")]:
        with pytest.raises(StoreError, match="cannot be stored"):
            plan_array(shape, dtype, 8)
    with pytest.raises(StoreError, match="cannot be stored"):
        plan_array((4, 4, 4), "i2", 0)
    with pytest.raises(UsageError, match="balanced, tight, fast, dense, gpu"):
        preset("best", np.dtype("i2"))
