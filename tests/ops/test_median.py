"""The median of cubes against SciPy's, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gpuprep.ops.median import median


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("dtype", ["int16", "uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (7, 9, 11), (5, 40, 300)])
def test_the_median_is_scipys(size: int, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).normal(100, 30, shape).astype(dtype)
    found = median(array, size)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, ndimage.median_filter(array, size, mode="nearest"))


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 8)] * 3),
    st.sampled_from([3, 5]),
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.permutations(range(3)),
)
def test_any_shape_order_of_axes_and_threads_give_the_same(
    shape, size, seed, threads, order
) -> None:
    array = np.random.default_rng(seed).integers(-3, 4, shape).astype(np.int16)  # many ties
    turned = array.transpose(order)[::-1]
    expected = ndimage.median_filter(turned, size, mode="nearest")
    np.testing.assert_array_equal(median(turned, size, threads=threads), expected)


def test_rows_wider_and_slices_higher_than_a_band() -> None:
    array = np.random.default_rng(2).integers(0, 99, (2, 3, 20000)).astype(np.int16)
    for turned in (array, array.transpose(0, 2, 1)):
        expected = ndimage.median_filter(turned, 3, mode="nearest")
        np.testing.assert_array_equal(median(turned, 3), expected)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 or 5"):
        median(np.zeros((3, 3, 3)), 4)
