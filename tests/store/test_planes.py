"""A chunk put together from byte planes: any Blosc decodes it, and it is smaller where that is possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs import blosc

from gpuprep.ops.bits import rounded_bits
from gpuprep.store.codecs import preset
from gpuprep.store.planes import byte_planes, encode_planes

DTYPES = ["<u2", "<i2", "<f2", "<u4", "<i4", "<f4", "<f8", "<u8"]


def voxels_of(edge: int, dtype: str, noise: float, seed: int) -> np.ndarray:
    """A ramp with noise: smooth high bytes, rough low ones."""
    z, y, x = np.meshgrid(*[np.arange(edge)] * 3, indexing="ij")
    rough = np.random.default_rng(seed).normal(scale=noise, size=(edge,) * 3)
    return (100 + z + y + x + rough).astype(dtype)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([1, 2, 4, 5, 6, 8, 17, 32]),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 1.0, 30.0]),
    st.integers(0, 99),
)
def test_blosc_decodes_what_planes_make(edge, dtype, noise, seed):
    voxels = voxels_of(edge, dtype, noise, seed)
    assert blosc.decompress(encode_planes(voxels)) == voxels.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_noise_grows_by_no_more_than_a_header(dtype):
    random = np.random.default_rng(0)
    voxels = np.frombuffer(random.bytes(4096 * np.dtype(dtype).itemsize), dtype)
    chunk = encode_planes(voxels)
    assert len(chunk) <= voxels.nbytes + 16
    assert blosc.decompress(chunk) == voxels.tobytes()


def test_blosc2_decodes_it_too():
    blosc2 = pytest.importorskip("blosc2")
    voxels = voxels_of(32, "<f2", 5.0, 0)
    assert blosc2.decompress2(encode_planes(voxels)) == voxels.tobytes()


def test_highest_bytes_are_searched_and_the_others_are_not():
    waves = 2000 * np.sin(voxels_of(32, "<f8", 0.0, 0) / 3)
    voxels = (waves + voxels_of(32, "<f8", 20.0, 1)).astype("<i2")
    plain = {
        (name, level): len(blosc.compress(voxels, name, level, blosc.SHUFFLE, voxels.nbytes))
        for name, level in ((b"lz4", 5), (b"lz4hc", 1))
    }
    size = len(encode_planes(voxels))
    assert size < 0.95 * plain[b"lz4", 5]
    assert size < 1.05 * plain[b"lz4hc", 1]


def test_byte_planes_begin_with_the_lowest():
    low, high = byte_planes(np.array([0x0102, 0x0304], "<u2"))
    assert (low.tolist(), high.tolist()) == ([2, 4], [1, 3])


@pytest.mark.parametrize("codec", ["balanced", "tight"])
def test_floats_of_few_values_are_not_shuffled_and_rounded_ones_bit_by_bit(codec):
    steps = np.random.default_rng(0).integers(0, 40, (4, 16, 16, 16)) / np.float32(37)
    smooth = np.stack([voxels_of(16, "<f4", 0.1, seed) for seed in range(4)])
    rounded = rounded_bits(np.stack([voxels_of(16, "<f4", 9.0, seed) for seed in range(4)]), 9)
    shuffles = [
        preset(codec, chunks.dtype, chunks, rounded=chunks is rounded).metadata[1]["configuration"][
            "shuffle"
        ]
        for chunks in (steps.astype("<f4"), smooth, rounded)
    ]
    assert shuffles == ["noshuffle", "shuffle", "bitshuffle"]


def test_tight_is_smaller_than_balanced_and_says_so_to_readers():
    voxels = voxels_of(32, "<f2", 5.0, 0)
    tight, balanced = (preset(name, voxels.dtype, [voxels]) for name in ("tight", "balanced"))
    chunk = tight.encode(voxels)
    assert len(chunk) < 0.98 * len(balanced.encode(voxels))
    assert blosc.decompress(chunk) == voxels.tobytes()
    assert tight.metadata[1]["configuration"]["clevel"] == 9
