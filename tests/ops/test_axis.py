"""Axis weights against SciPy and against what they promise."""

import numpy as np
import pytest
import scipy.ndimage as ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from support.axes import dense

from gpuprep.ops.axis import antialias_sigma, axis_weights, product

MODES = [("linear", "nearest", 1), ("cubic", "nearest", 3), ("cubic", "mirror", 3)]
lengths = st.integers(1, 40)


def scipy_line(line: np.ndarray, m: int, scale: float, offset: float, order: int, mode: str):
    return ndimage.affine_transform(line, [scale], offset, (m,), order=order, mode=mode)


@pytest.mark.parametrize(("interpolation", "boundary", "order"), MODES)
@given(n=lengths, m=lengths, scale=st.floats(0.2, 5), offset=st.floats(-3, 3), seed=st.integers(0))
@settings(max_examples=150)
def test_weights_equal_scipy(interpolation, boundary, order, n, m, scale, offset, seed) -> None:
    line = np.random.default_rng(seed).uniform(-1, 1, n)
    expected = scipy_line(line, m, scale, offset, order, boundary)
    result = dense(axis_weights(n, m, scale, offset, interpolation, boundary)) @ line
    np.testing.assert_allclose(result, expected, atol=3e-7)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 11, 300])
@pytest.mark.parametrize(("interpolation", "boundary", "order"), MODES)
def test_tiny_and_long_axes_equal_scipy(n, interpolation, boundary, order) -> None:
    line = np.random.default_rng(n).uniform(-1, 1, n)
    for m, scale in ((1, float(n)), (2 * n, 0.5), (3, n / 3)):
        offset = (scale - 1) / 2
        expected = scipy_line(line, m, scale, offset, order, boundary)
        result = dense(axis_weights(n, m, scale, offset, interpolation, boundary)) @ line
        np.testing.assert_allclose(result, expected, atol=3e-7)


@pytest.mark.parametrize(("interpolation", "boundary", "order"), MODES)
@given(
    n=lengths, m=lengths, scale=st.floats(0.2, 9), offset=st.floats(-3, 3), sigma=st.floats(0, 5)
)
@settings(max_examples=60)
def test_tables_keep_their_promises(interpolation, boundary, order, n, m, scale, offset, sigma):
    axis = axis_weights(n, m, scale, offset, interpolation, boundary, sigma)
    assert axis.start.dtype == np.int32
    assert axis.weights.dtype == np.float64
    assert axis.start.min() >= 0
    assert axis.start.max() + axis.weights.shape[1] <= n
    np.testing.assert_allclose(axis.weights.sum(1), 1, atol=1e-14)
    rebuilt = np.zeros((m, n), np.float32)
    for block in axis.blocks(7):
        rebuilt[block.out_start : block.out_stop, block.in_start : block.in_stop] = block.matrix
    np.testing.assert_array_equal(rebuilt, dense(axis).astype(np.float32))
    first, last = axis.used
    assert not dense(axis)[:, :first].any()
    assert not dense(axis)[:, last:].any()


@pytest.mark.parametrize("boundary", ["nearest", "mirror"])
@pytest.mark.parametrize("sigma", [0.4, 1.7, 6.0])
def test_a_gaussian_equals_smoothing_first(boundary, sigma) -> None:
    line = np.random.default_rng(3).uniform(-1, 1, 90)
    smooth = ndimage.gaussian_filter1d(line, sigma, mode=boundary)
    for interpolation in ("linear", "cubic"):
        plain = axis_weights(90, 31, 2.9, 0.7, interpolation, boundary)
        folded = axis_weights(90, 31, 2.9, 0.7, interpolation, boundary, sigma)
        np.testing.assert_allclose(dense(folded) @ line, dense(plain) @ smooth, atol=3e-7)


@given(n=lengths, m=lengths, scale=st.floats(0.2, 5), offset=st.floats(-9, 9))
def test_nearest_is_the_half_up_rule(n, m, scale, offset) -> None:
    axis = axis_weights(n, m, scale, offset, "nearest")
    c = np.round((np.arange(m) * scale + offset) * 2**32) / 2**32
    assert axis.indices is not None
    np.testing.assert_array_equal(axis.indices, np.clip(np.floor(c + 0.5), 0, n - 1))


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 512])
def test_whole_coordinates_pick_voxels(interpolation, n) -> None:
    assert axis_weights(n, n, 1.0, 0.0, interpolation).identity
    noisy = axis_weights(n, n, 1 + 1e-14, 1e-13, interpolation)
    assert noisy.identity
    every_second = axis_weights(2 * n, n, 2.0, 1.0, interpolation)
    assert every_second.indices is not None
    np.testing.assert_array_equal(every_second.indices, np.arange(n) * 2 + 1)
    assert not every_second.identity


def test_linear_weights_are_exact() -> None:
    axis = axis_weights(64, 128, 0.5, -0.25, "linear")
    assert set(np.unique(axis.weights)) <= {0.0, 0.25, 0.75, 1.0}


def test_tables_are_shared_and_read_only() -> None:
    axis = axis_weights(64, 32, 2.0, 0.5, "cubic")
    assert axis_weights(64, 32, 2.0, 0.5, "cubic") is axis
    with pytest.raises(ValueError, match="read-only"):
        axis.weights[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        axis.start[0] = 1


def test_memory_follows_the_outputs() -> None:
    axis = axis_weights(200_000, 100_000, 2.0, 0.5, "cubic")
    assert axis.weights.shape[1] < 32


@pytest.mark.parametrize("wrong", [(0, 3, 1.0, 0.0), (3, 0, 1.0, 0.0), (3, 3, 1e40, 0.0)])
def test_impossible_axes_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"axis|grid"):
        axis_weights(*wrong)


def test_antialias_sigma_is_cardosos() -> None:
    assert antialias_sigma(1.0) == antialias_sigma(0.3) == 0
    for k in (1.5, 2.0, 4.0):  # FWHM² of the result = k² voxels² with a source FWHM of one voxel
        fwhm = 2 * np.sqrt(2 * np.log(2)) * antialias_sigma(k)
        assert fwhm**2 + 1 == pytest.approx(k**2)


def test_what_a_blas_does_beside_its_result_is_not_warned_of(monkeypatch) -> None:
    plain = np.matmul

    def beside(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        plain(left, right, out=out)
        np.subtract(
            np.inf, np.inf
        )  # raises the flag that a signalling NaN in an unused lane raises

    monkeypatch.setattr(np, "matmul", beside)
    out = np.empty((2, 1), np.float32)
    product(np.ones((2, 5), np.float32), np.ones((5, 1), np.float32), out=out)
    assert out.ravel().tolist() == [5, 5]
