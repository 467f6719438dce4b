"""The engine for two taps and its parts, where they could go wrong unseen by ``test_resample``."""

import itertools

import numpy as np
import pytest
import scipy.ndimage as ndimage
from hypothesis import given
from hypothesis import strategies as st
from support.axes import dense

from gpuprep.ops.axis import AxisWeights, axis_weights
from gpuprep.ops.half import write_half
from gpuprep.ops.pointwise import ClipAffine, affine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.windows import Columns
from gpuprep.values.grids import GridMapping

LENGTHS = {"shrinks": 11, "stays": 24, "grows": 37}


def scipy_grid(array: np.ndarray, mapping: GridMapping) -> np.ndarray:
    return ndimage.affine_transform(
        array.astype(np.float64),
        mapping.scale,
        mapping.offset,
        mapping.shape,
        order=1,
        mode="nearest",
    )


@pytest.mark.parametrize("out", list(itertools.product(LENGTHS, repeat=3)), ids="-".join)
@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_whatever_shrinks_or_grows_equals_scipy(out, kind) -> None:
    """Every order of the axes is the cheapest for some of these."""
    array = np.random.default_rng(3).integers(-900, 900, (24, 24, 24)).astype(kind)
    shape = tuple(LENGTHS[change] for change in out)
    scale = tuple(24 / m for m in shape)
    mapping = GridMapping(shape, scale, tuple((s - 1) / 2 for s in scale))
    for source in (array, array[::-1, :, ::-1], np.asfortranarray(array)):
        expected = scipy_grid(np.clip(source, -500, 700), mapping)
        result = resample(source, Resampling(mapping, prologue=clip(-500, 700)), threads=2)
        assert np.abs(result - expected).max() < 1e-6 * 1200


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", ">i2", "f4"])
@pytest.mark.parametrize("low", [-np.inf, -40000, -128, -100, -99.5, 0, 3])
@pytest.mark.parametrize("high", [np.inf, 40000, 127, 90.25, 60, 3])
def test_clips_are_exact_at_both_ends_of_any_dtype(kind, low, high) -> None:
    """Background at either end of the interval, and integers at either end of their dtype."""
    ends = np.iinfo(kind) if np.dtype(kind).kind != "f" else np.iinfo("i2")
    values = np.array([max(ends.min, -(2**20)), -101, -1, 0, 2, 61, 100, min(ends.max, 2**20)])
    values = values.clip(ends.min, ends.max)
    for background in (values[0], values[-1]):
        array = np.full((6, 9, 8), background, kind)
        array[2:4, 3:6, 3] = values[:6].reshape(2, 3)
        mapping = GridMapping((5, 7, 12), (1.2, 1.25, 0.65), (0.1, 0.3, 0.05))
        clipped = np.clip(array.astype(np.float64), low, high)
        expected = scipy_grid(clipped, mapping)
        result = resample(array, Resampling(mapping, prologue=clip(low, high)))
        assert np.abs(result - expected).max() <= 1e-6 * max(np.ptp(clipped), 1e-6)
        assert result[-1, -1, -1] == np.float32(clipped[0, 0, 0])


@given(
    low=st.integers(-70000, 70000),
    length=st.integers(0, 70000),
    offset=st.integers(-140000, 140000),
    kind=st.sampled_from(["i1", "u1", "i2", "u2"]),
    near=st.booleans(),
)
def test_integers_are_clipped_and_moved_without_wrapping(low, length, offset, kind, near) -> None:
    limits = np.iinfo(kind)
    values = np.arange(limits.min, limits.max + 1)
    if near:  # so that much of it fits
        low, length, offset = low % 300 - 150, length % 200, offset % 400 - 200
    whole = ClipAffine(low, low + length, 1.0, offset).in_integers(np.dtype(kind))
    expected = values.clip(low, low + length) + offset
    if whole is None:
        reached = low <= limits.max and low + length >= limits.min
        assert not reached or expected.min() < limits.min or expected.max() > limits.max
        return
    result = np.clip(values.astype(kind), *whole[:2])
    result += whole[2]
    np.testing.assert_array_equal(result, expected)


def test_what_is_not_whole_is_not_clipped_in_integers() -> None:
    kind = np.dtype(np.int16)
    assert ClipAffine(-1000, 400, 1, 1000).in_integers(kind) == (-1000, 400, 1000)
    assert ClipAffine(-40000, 400, 1, 0).in_integers(kind) == (-32768, 400, 0)
    for step in (
        affine(1, 3),
        ClipAffine(-0.5, 3),
        ClipAffine(0, 3, 2.0),
        ClipAffine(0, 3, 1, 0.25),
        ClipAffine(-1000, 3, 1, -32000),
        ClipAffine(40000, 50000),
    ):
        assert step.in_integers(kind) is None
    assert ClipAffine(0, 3).in_integers(np.dtype(np.float32)) is None


@given(
    n=st.integers(1, 90),
    m=st.integers(1, 90),
    scale=st.floats(0.2, 4),
    offset=st.floats(-9, 9),
    kind=st.sampled_from(["nearest", "linear", "cubic"]),
    boundary=st.sampled_from(["nearest", "mirror"]),
    rows=st.sampled_from([(1,), (5,), (2, 3)]),
)
def test_columns_are_the_dense_product(n, m, scale, offset, kind, boundary, rows) -> None:
    axis = axis_weights(n, m, scale, offset, kind, boundary)
    values = np.random.default_rng(n).uniform(-1, 1, (*rows, n)).astype(np.float32)
    out = np.full((*rows, m + 3), np.nan, np.float32)[..., 2:-1]
    Columns(axis)(values, out)
    np.testing.assert_allclose(out, values @ dense(axis).T, atol=2e-6)


def test_columns_read_only_their_own_row() -> None:
    axis = axis_weights(512, 267, 512 / 267, 0.4, "linear")
    values = np.zeros((3, 512), np.float32)
    values[[0, 2]] = np.inf  # the neighbours in memory
    out = np.empty((3, 267), np.float32)
    with np.errstate(invalid="ignore"):
        Columns(axis)(values, out)
    assert not out[1].any()


def as_half(values: np.ndarray) -> np.ndarray:
    out = np.empty(values.shape, np.float16)
    write_half(values, out)
    return out


def test_halves_are_numpys() -> None:
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (halves[:-1] + halves[1:]) / 2
    exact = np.concatenate([halves, middles])
    near = np.concatenate([np.nextafter(exact, np.float32(end)) for end in (0, 1e5)])
    large = np.array([65519.996, 65520, 7e4, 3e38, np.inf], np.float32)
    for values in (exact, near[near > 6.2e-5], large):
        for signed in (values, -values, np.concatenate([values, -values])):
            with np.errstate(over="ignore"):
                expected = signed.astype(np.float16)
            np.testing.assert_array_equal(as_half(signed).view("u2"), expected.view("u2"))
    tiny = near[near <= 6.2e-5]  # may go to either neighbour, when next to the middle of two
    assert np.abs(as_half(tiny).astype(np.float64) - tiny).max() <= 2.0**-25 * (1 + 2.0**-11)


def test_halves_of_any_strides_leave_the_values_alone() -> None:
    values = np.random.default_rng(1).normal(0, 3, (30, 40, 200)).astype(np.float32)
    kept = values.copy()
    out = np.empty((200, 40, 30), np.float16)
    write_half(values.transpose(2, 1, 0), out)
    np.testing.assert_array_equal(out, kept.transpose(2, 1, 0).astype(np.float16))
    holes = np.zeros((30, 40, 400), np.float16)
    write_half(values, holes[..., ::2])
    np.testing.assert_array_equal(holes[..., ::2], kept.astype(np.float16))
    assert not holes[..., 1::2].any()
    np.testing.assert_array_equal(values, kept)
    write_half(values, out.transpose(2, 1, 0), values)
    np.testing.assert_array_equal(out.transpose(2, 1, 0), kept.astype(np.float16))


def test_nothing_but_the_needed_part_is_read() -> None:
    array = np.full((20, 30, 40), np.inf, np.float32)
    array[5:9, 10:20, 12:30] = np.random.default_rng(2).uniform(0, 1, (4, 10, 18))
    mapping = GridMapping((3, 5, 9), (1.1, 1.5, 1.9), (5.2, 10.6, 12.3))
    result = resample(array, Resampling(mapping, value_range=(0, 1)))
    finite = np.where(np.isfinite(array), array, 0)
    assert np.abs(result - scipy_grid(finite, mapping)).max() < 1e-6


def test_a_table_of_an_axis_is_not_changed_by_turning() -> None:
    axis = axis_weights(24, 11, 24 / 11, 0.6, "linear")
    start, weights = axis.start.copy(), axis.weights.copy()
    mapping = GridMapping((11, 11, 11), (24 / 11,) * 3, (0.6,) * 3)
    array = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)[::-1, ::-1, ::-1]
    assert np.abs(resample(array, Resampling(mapping)) - scipy_grid(array, mapping)).max() < 1e-5
    assert isinstance(axis, AxisWeights)
    np.testing.assert_array_equal(axis.start, start)
    np.testing.assert_array_equal(axis.weights, weights)
