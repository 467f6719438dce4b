"""The median of cubes against SciPy's, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from gpuprep.ops.levels import find_levels
from gpuprep.ops.median import median
from gpuprep.ops.parallel import Threads


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(
    "dtype", ["int16", "uint8", "uint16", "int32", "float16", "float32", "float64", ">f4", ">i2"]
)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (7, 9, 11), (5, 41, 300)])
def test_the_median_is_scipys(size: int, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).normal(100, 30, shape).astype(dtype)
    found = median(array, size)
    assert found.dtype == array.dtype
    theirs = array.astype(np.float32) if dtype == "float16" else array  # which SciPy does not take
    np.testing.assert_array_equal(found, ndimage.median_filter(theirs, size, mode="nearest"))


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
    long = np.random.default_rng(2).integers(0, 99, (2, 9001, 3)).astype(np.int16)
    for each in (array, array.transpose(0, 2, 1), long):
        for size in (3, 5):
            expected = ndimage.median_filter(each, size, mode="nearest")
            np.testing.assert_array_equal(median(each, size), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind", ["scaled", "uneven", "wide", "one other", "infinite", "huge", "zeros"]
)
def test_floating_voxels_by_their_levels_or_not(dtype: str, kind: str) -> None:
    random = np.random.default_rng(3)
    whole = random.integers(-900, 1200, (6, 30, 50))
    array = (whole * np.float64(0.0153) - 1024.7).astype(dtype)
    if kind == "uneven":
        array = np.exp(array + 1030)
    elif kind == "wide":
        array[1::2] += 70_000
    elif kind == "one other":
        array[3, 11, 17] = np.nextafter(array[3, 11, 17], np.inf, dtype=dtype)
    elif kind == "infinite":
        array[random.random(array.shape) < 0.3] = -np.inf
    elif kind == "huge":
        array = random.choice(np.array([-3e38, 0, 3e38], dtype), array.shape)
    elif kind == "zeros":
        array = random.choice(np.array([-0.0, 0.0, 1.0], dtype), array.shape)
    levels = find_levels(array, Threads(None, 1))
    assert (levels is not None) == (
        kind in ("scaled", "zeros") or (kind, dtype) == ("huge", "float64")
    )
    if levels is not None:
        np.testing.assert_array_equal(levels.values[levels.places], array)
    for size in (3, 5):
        expected = ndimage.median_filter(array, size, mode="nearest")
        np.testing.assert_array_equal(median(array, size), expected)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 or 5"):
        median(np.zeros((3, 3, 3)), 4)
