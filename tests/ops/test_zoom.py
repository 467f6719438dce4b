"""Zoom equals SciPy's, bit for bit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates, zoom

from gpuprep.ops.zoom import Zoom

edge = st.integers(1, 13)
shape = st.tuples(edge, edge, edge)


def scipys(array: np.ndarray, target: tuple[int, ...]) -> np.ndarray:
    """As ``skimage.transform.resize`` calls it."""
    factors = [1 / (n / m) for n, m in zip(array.shape, target, strict=True)]
    return zoom(array.astype(float), factors, order=1, mode="nearest", grid_mode=True)


def planes_of(zoomed: Zoom, array: np.ndarray) -> np.ndarray:
    """All planes, cut in two."""
    half = zoomed.shape[0] // 2
    parts = [slice(0, half), slice(half, zoomed.shape[0])]
    return np.concatenate([zoomed.planes(array, part) for part in parts if part.start < part.stop])


@given(shape, shape, st.integers(0, 2**31), st.sampled_from([np.float16, np.float32]))
def test_linear_is_scipys(source, target, seed: int, dtype: type) -> None:
    array = np.random.default_rng(seed).standard_normal(source).astype(dtype)
    made = planes_of(Zoom.between(source, target), array)
    np.testing.assert_array_equal(made, scipys(array, target))


@given(shape, shape, st.integers(0, 2), st.integers(0, 2**31))
def test_slices_by_themselves_are_scipys(source, target, axis: int, seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal(source).astype(np.float16)
    flat = [target[other] for other in range(3) if other != axis]
    slices = [scipys(np.take(array, k, axis), flat) for k in range(source[axis])]
    stacked = np.stack(slices, axis)
    scale = source[axis] / target[axis]
    places = np.indices(target, dtype=float)
    places[axis] = scale * (places[axis] + 0.5) - 0.5
    wanted = map_coordinates(stacked, places, order=0, mode="nearest")
    np.testing.assert_array_equal(planes_of(Zoom.between(source, target, axis), array), wanted)
