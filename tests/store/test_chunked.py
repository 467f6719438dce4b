"""Arrays cut into chunks: the same voxels, and the same shard files."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.store import layout
from gpuprep.store.case import write_case
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Chunked


def cut(array: np.ndarray, edge: int) -> Chunked:
    """``array`` in chunks, by padding and reshaping."""
    lead = array.shape[:-3]
    pad = [(0, 0)] * len(lead) + [(0, -n % edge) for n in array.shape[-3:]]
    padded = np.pad(array, pad)
    z, y, x = (n // edge for n in padded.shape[-3:])
    split = padded.reshape(*lead, z, edge, y, edge, x, edge)
    k = len(lead)
    order = [*range(k), *(k + axis for axis in (0, 2, 4, 1, 3, 5))]
    return Chunked(np.ascontiguousarray(split.transpose(order)), array.shape)


@given(st.tuples(*[st.integers(1, 20)] * 3), st.integers(2, 9), st.integers(0, 3))
def test_cut_and_plain_are_one_another(shape, edge, channels):
    lead = (channels,) if channels else ()
    array = np.random.default_rng(0).integers(1, 99, (*lead, *shape)).astype(np.int16)
    chunked = cut(array, edge)
    np.testing.assert_array_equal(np.asarray(chunked), array)
    refilled = Chunked(np.full_like(chunked.blocks, -7), array.shape)
    for number in range(channels):
        refilled[number].fill(array[number])
    if not channels:
        refilled.fill(array)
    np.testing.assert_array_equal(refilled.blocks, chunked.blocks)


def test_a_plain_view_of_chunks_is_refused():
    with pytest.raises(ValueError, match="copy"):
        np.asarray(cut(np.ones((3, 4, 5)), 2), copy=False)


@pytest.mark.parametrize("shape", [(40, 33, 64), (2, 40, 33, 30)])
@pytest.mark.parametrize("limit", [layout.SHARD_LIMIT, 1 << 14])
def test_chunks_make_the_same_files(tmp_path, monkeypatch, shape, limit):
    monkeypatch.setattr(layout, "SHARD_LIMIT", limit)  # one shard, and several
    monkeypatch.setattr(layout, "SHARD_EDGE", 32)
    array = np.random.default_rng(0).normal(0, 1, shape).astype(np.float16)
    array[..., :16, :16, :16] = 0
    geometry = Geometry(shape[-3:], (1.0, 1.0, 1.0))
    files = [
        write_case(
            tmp_path / str(number),
            image=image,
            labels={},
            geometry=geometry,
            chunk=16,
            durable=False,
        )
        for number, image in enumerate((array, cut(array, 16)))
    ]
    assert files[0] == files[1]
    assert len(files[0]) > (2 if limit == layout.SHARD_LIMIT else 5)
