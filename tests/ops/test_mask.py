"""Filling holes against SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes

from gpuprep.ops.mask import fill_holes
from gpuprep.values.geometry import Reorientation


@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 3, 7, 8, 9, 16, 21])] * 3),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32 - 1),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_mask_equals_scipy(shape, density, seed, axes, flips) -> None:
    mask = np.random.default_rng(seed).random(shape) < density
    view = Reorientation(tuple(axes), flips).view(mask)
    np.testing.assert_array_equal(fill_holes(view), binary_fill_holes(view))


@pytest.mark.parametrize("width", [9, 15, 16, 23])
def test_a_long_winding_way_out_is_found(width: int) -> None:
    """A corridor that turns at every wall; shut at its mouth, all of it is a hole."""
    mask = np.ones((width, width, width), np.bool_)
    layer = mask[width // 2]
    layer[1:-1:2, 1:-1] = False
    for k, row in enumerate(range(2, width - 1, 2)):
        layer[row, -2 if k % 2 == 0 else 1] = False
    assert fill_holes(mask).all()
    mask[width // 2, 0, 1] = False
    np.testing.assert_array_equal(fill_holes(mask), mask)
    for axes in ((2, 0, 1), (1, 2, 0)):
        np.testing.assert_array_equal(fill_holes(mask.transpose(axes)), mask.transpose(axes))


def test_touching_corners_and_edges_let_nothing_out() -> None:
    mask = np.ones((5, 5, 5), np.bool_)
    mask[2, 2, 2] = mask[1, 1, 1] = mask[0, 0, 0] = False
    filled = fill_holes(mask)
    assert filled.sum() == 124
    assert not filled[0, 0, 0]
