"""Chunks, blocks and drawn voxels are nnU-Net's, as it gave them for its data sets and for drawn shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nnunet_arrays import LABELS, digest, goldens, label_map

from gpuprep.store.nnunet.chunks import chunk_and_block
from gpuprep.store.nnunet.class_locations import class_locations

GOLDENS = goldens()
EDGES = st.integers(1, 700)
SHAPES = st.tuples(st.integers(1, 3), EDGES, EDGES, EDGES)
PATCHES = st.lists(EDGES, min_size=2, max_size=3)


def test_chunks_and_blocks_are_those_of_nnunet() -> None:
    for shape, patch, itemsize, chunk, block in GOLDENS["chunks"]:
        ours = chunk_and_block(shape, patch, itemsize)
        assert ours == (tuple(chunk), tuple(block)), (shape, patch, itemsize)


@given(SHAPES, PATCHES, st.sampled_from([1, 2, 4]))
@settings(max_examples=500)
def test_and_for_any_shape_where_nnunet_is_there(
    shape: tuple[int, ...], patch: list[int], itemsize: int
) -> None:
    theirs = pytest.importorskip("nnunetv2.training.dataloading.nnunet_dataset")
    block, chunk = theirs.comp_blosc2_params(shape, patch, itemsize)
    assert chunk_and_block(shape, patch, itemsize) == (chunk, block)


@given(SHAPES, PATCHES, st.sampled_from([1, 2, 4]))
def test_a_chunk_is_small_and_inside(
    shape: tuple[int, ...], patch: list[int], itemsize: int
) -> None:
    chunk, block = chunk_and_block(shape, patch, itemsize)
    assert chunk[0] == block[0] == 1
    assert all(b <= c <= n for b, c, n in zip(block[1:], chunk[1:], shape[1:], strict=True))
    assert np.prod(block) * itemsize <= 128 << 10
    assert np.prod(chunk) * itemsize <= 6 << 20


@pytest.mark.parametrize("name", LABELS)
def test_voxels_are_drawn_as_nnunet_draws_them(name: str) -> None:
    found = class_locations(label_map(name), LABELS[name][2])
    told = [
        [str(key), len(rows), digest(rows) if len(rows) else "", [*map(int, rows[0])]]
        if len(rows)
        else [str(key), 0, "", []]
        for key, rows in found.items()
    ]
    assert told == GOLDENS["locations"][name]


def test_an_axis_order_changes_voxels_and_draws_alike() -> None:
    label = label_map("classes, one absent")
    turned = label.transpose(2, 0, 1)
    whole = class_locations(np.ascontiguousarray(turned), [1, 2, 5])
    for key, rows in class_locations(turned, [1, 2, 5]).items():
        np.testing.assert_array_equal(rows, whole[key])
        assert (label[tuple(rows[:, [2, 3, 1]].T)] == key).all()


def test_slabs_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuprep.store.locations._SLAB", 5000)
    test_voxels_are_drawn_as_nnunet_draws_them("many classes")
    test_voxels_are_drawn_as_nnunet_draws_them("an ignore label")
