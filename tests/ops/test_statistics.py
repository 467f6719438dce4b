"""Exact statistics against NumPy."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprep.ops.curve import Curve, Pointwise
from gpuprep.ops.pointwise import affine, clip
from gpuprep.ops.statistics import Distribution, FloatDistribution, Histogram, label_counts, measure
from gpuprep.ops.table import Table

QS = [0, 0.5, 1, 5, 25, 33.3, 50, 75, 95, 99, 99.5, 100]
INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", "?"]
FLOATS = ["f2", "f4", "f8", ">f4"]


def assert_equals_numpy(found: Distribution, values: np.ndarray) -> None:
    values = values.astype(np.float64)
    finite = values[np.isfinite(values)]
    assert found.count == finite.size
    assert found.nan == np.isnan(values).sum()
    assert found.inf == np.isinf(values).sum()
    assert found.minimum == finite.min()
    assert found.maximum == finite.max()
    assert found.percentiles(QS) == np.percentile(finite, QS).tolist()
    low, high = np.percentile(finite, [10, 80]) + 0.25
    for ends in ((-np.inf, np.inf), (low, high), (low, np.inf)):
        clipped = np.clip(finite, *ends)
        expected = clipped.mean(), clipped.std()
        np.testing.assert_allclose(found.moments(ends), expected, rtol=1e-10, atol=1e-10)


def voxels(kind: str, shape: tuple[int, ...] = (7, 30, 41)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(kind).kind in "f":
        return rng.normal(3, 40, shape).astype(kind)
    return rng.integers(0 if np.dtype(kind).kind in "ub" else -100, 120, shape).astype(kind)


@pytest.mark.parametrize("kind", INTEGERS + FLOATS)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_dtype_mask_and_stride_equals_numpy(kind: str, threads: int) -> None:
    array = voxels(kind)
    mask = np.random.default_rng(1).random(array.shape) < 0.2
    assert_equals_numpy(measure(array, threads=threads), array)
    view = array.transpose(2, 0, 1)[::-1, ::2]
    assert_equals_numpy(measure(view, threads=threads), view)
    assert_equals_numpy(measure(array, mask, threads), array[mask])
    turned = mask.astype(np.uint8).transpose(1, 2, 0).copy().transpose(2, 0, 1)
    assert_equals_numpy(measure(array, turned * 7, threads), array[mask])


@given(st.lists(st.integers(-9, 9), max_size=20), st.integers(-11, 11) | st.floats(-11, 11))
def test_counts_of_a_whole_array_give_those_of_its_foreground(values, threshold) -> None:
    array = np.array(values, np.int16)
    for found, kept in (
        (measure(array).above(threshold), array[array > threshold]),
        (measure(array).above(None), array[array != 0]),
    ):
        values, counts = np.unique(kept, return_counts=True)
        assert found.occurring == dict(zip(values.tolist(), counts.tolist(), strict=True))
        assert found.count == kept.size


@pytest.mark.parametrize("kind", ["i1", "u2", "i2", "i4"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_array_that_is_mostly_zero_is_counted_exactly(kind: str, threads: int) -> None:
    array = voxels(kind)
    array[:, 7:] = 0
    assert_equals_numpy(measure(array, threads=threads), array)
    assert_equals_numpy(measure(array[:, :, 3:], threads=threads), array[:, :, 3:])


@pytest.mark.parametrize("kind", ["i4", "u4", "i8", "u8"])
def test_wide_integers_equal_numpy(kind: str) -> None:
    limits = np.iinfo(kind)
    rng = np.random.default_rng(2)
    array = rng.integers(limits.min, limits.max, (5, 20, 30), dtype=kind, endpoint=True)
    array[0, 0, :2] = limits.min, limits.max
    found = measure(array, threads=2)
    assert isinstance(found, FloatDistribution)
    values = array.astype(np.float64)
    assert found.percentiles(QS) == np.percentile(values, QS).tolist()
    np.testing.assert_allclose(found.moments(), (values.mean(), values.std()), rtol=1e-10)


def test_the_ends_of_16_bits_are_counted() -> None:
    for kind in (np.int16, np.uint16):
        limits = np.iinfo(kind)
        array = np.array([[[limits.min, limits.max, 0, 0]]], kind)
        assert_equals_numpy(measure(array), array)


@given(
    values=st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf]),
                    min_size=1, max_size=60),
    qs=st.lists(st.floats(0, 100), max_size=5),
    kind=st.sampled_from(["f4", "f8"]),
)  # fmt: skip
@settings(max_examples=200)
def test_any_floats_equal_numpy(values: list[float], qs: list[float], kind: str) -> None:
    array = np.array(values, kind).reshape(1, 1, -1)
    found = measure(array)
    finite = array[np.isfinite(array)].astype(np.float64)
    assert (found.count, found.nan) == (finite.size, np.isnan(array).sum())
    assert found.inf == np.isinf(array).sum()
    if finite.size:
        assert found.percentiles(qs) == np.percentile(finite, qs).tolist()
        assert found.order_statistics(range(finite.size)) == np.sort(finite).tolist()
        for value in (*finite.ravel().tolist(), 0.0, 0.1, 1e300):
            assert found.count_below(value) == np.count_nonzero(finite < value)


@given(st.lists(st.integers(-500, 500), min_size=1, max_size=60), st.floats(0, 100))
def test_any_integers_equal_numpy(values: list[int], q: float) -> None:
    array = np.array(values, np.int16).reshape(1, -1, 1)
    assert measure(array).percentiles([q]) == [np.percentile(array.astype(float), q)]
    for value in (-501, -500.5, q, *values):
        assert measure(array).count_below(value) == np.count_nonzero(array < value)
    low, high = sorted((values[0], values[-1]))
    shares = measure(array).shares_beyond(low, high)
    assert shares == (np.mean(array <= low), np.mean(array >= high))


@pytest.mark.parametrize("bins", [1, 7, 256, 40_000])
@pytest.mark.parametrize("kind", ["i2", "f4", "f8"])
@pytest.mark.parametrize(
    "step",
    [
        clip(-20.0, 31.7),
        affine(-3.0, 2.0),
        Curve(Table((-90.0, 0.1, 0.2, 50.0), (0.0, 0.4, 0.4, 7.0)), -90.0, 50.0, 2.0),
    ],
    ids=["clip", "falling", "curve"],
)
def test_bins_after_a_step_are_those_of_numpy(step: Pointwise, kind: str, bins: int) -> None:
    values = voxels(kind)
    values[0] = np.rint(values[0])
    mask = values > -60
    if kind != "i2":
        values[3, 0, :3] = np.nan, np.inf, -np.inf
    inside = values[mask & np.isfinite(values)].astype(np.float64)
    found = measure(values, mask, threads=2)
    ends = step.bounds(found.minimum, found.maximum)
    expected = np.histogram(np.clip(step.evaluate(inside), *ends), bins, ends)[0]
    np.testing.assert_array_equal(found.histogram_after(step, bins, ends), expected)


def test_moments_do_not_cancel() -> None:
    rng = np.random.default_rng(4)
    array = (30000 + 0.5 * rng.normal(size=(20, 100, 100))).astype(np.float32)
    exact = array.astype(np.float64)
    mean, std = measure(array).moments()
    assert mean == pytest.approx(exact.mean(), rel=1e-14)
    assert std == pytest.approx((exact - exact.mean()).std(), rel=1e-12)


def test_results_do_not_depend_on_threads_or_strides() -> None:
    array = np.random.default_rng(5).normal(size=(60, 130, 140)).astype(np.float32)
    summaries = [measure(array, threads=threads).summary() for threads in (1, 2, 7)]
    summaries.append(measure(array.transpose(1, 2, 0)).summary())
    assert all(summary == summaries[0] for summary in summaries)


def test_nothing_to_measure() -> None:
    zeros = np.zeros((3, 4, 5), np.int16)
    nans = np.full((2, 2, 2), np.nan, np.float32)
    empty = (measure(zeros, zeros), measure(nans), measure(np.zeros((0, 4, 5), np.float32)))
    for found in (*empty, measure(np.zeros((0, 2, 2), np.int32))):
        assert found.count == 0
        for ask in (
            found.moments,
            lambda found=found: found.percentiles([50]),
            lambda found=found: found.minimum,
            lambda found=found: found.maximum,
        ):
            with pytest.raises(ValueError, match=r"no voxels|ranks"):
                ask()
        summary = json.loads(json.dumps(found.summary(), allow_nan=False))
        assert summary["count"] == 0
        assert summary["mean"] is None
        assert set(summary["percentiles"].values()) == {None}
    assert empty[1].nan == 8


def test_a_summary_is_ready_for_json() -> None:
    array = voxels("f4")
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    summary = json.loads(json.dumps(measure(array).summary(), allow_nan=False))
    finite = array[np.isfinite(array)].astype(float)
    assert (summary["nan"], summary["inf"], summary["count"]) == (1, 2, finite.size)
    assert (summary["min"], summary["max"]) == (finite.min(), finite.max())
    assert summary["percentiles"]["99.5"] == np.percentile(finite, 99.5)


def test_refusals() -> None:
    array = voxels("i2")
    with pytest.raises(ValueError, match="mask of shape"):
        measure(array, array[0])
    with pytest.raises(TypeError, match="complex"):
        measure(array.astype(np.complex64))
    found = measure(array)
    for wrong in ([-1], [found.count]):
        with pytest.raises(ValueError, match="ranks"):
            found.order_statistics(wrong)
    for q in (-0.1, 100.1, np.nan):
        with pytest.raises(ValueError, match="percentile"):
            found.percentiles([q])


parts = st.lists(
    st.lists(st.integers(-3000, 3000), max_size=30).map(
        lambda values: measure(np.array(values, np.int16))
    ),
    min_size=3,
    max_size=3,
)


@given(parts)
def test_merging_is_associative_commutative_and_pooled(three: list[Histogram]) -> None:
    a, b, c = three
    left, right, turned = a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)
    assert left.to_json() == right.to_json() == turned.to_json()
    pooled = [value for part in three for value, n in part.occurring.items() for _ in range(n)]
    assert left.count == len(pooled)
    if pooled:
        assert_equals_numpy(left, np.array(pooled))


@given(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=40))
def test_a_histogram_survives_json(values: list[int]) -> None:
    found = measure(np.array(values, np.int16))
    assert isinstance(found, Histogram)
    text = json.dumps(found.to_json())
    back = Histogram.from_json(json.loads(text))
    assert (back.start, back.counts.tolist()) == (found.start, found.counts.tolist())
    assert back.counts.dtype == np.int64


def test_a_ct_histogram_is_small_in_json() -> None:
    array = np.random.default_rng(0).normal(0, 300, (50, 100, 100)).astype(np.int16)
    assert len(json.dumps(measure(array).to_json())) < 8000


def test_damaged_histograms_are_refused() -> None:
    good = measure(voxels("i2")).to_json()
    for change in (
        {"bins": 10**12},
        {"bins": -1},
        {"bins": good["bins"] + 1},
        {"bins": good["bins"] - 1},
        {"counts": "@@@@"},
        {"counts": good["counts"][:-8]},
        {"counts": "AAAA" + good["counts"][4:]},
    ):
        with pytest.raises(ValueError, match="histogram"):
            Histogram.from_json({**good, **change})


def test_histograms_too_far_apart_do_not_merge() -> None:
    near, far = (measure(np.array([value], np.int64)) for value in (0, 10**12))
    with pytest.raises(ValueError, match="too many"):
        near.merge(far)


def test_label_counts() -> None:
    array = np.random.default_rng(1).integers(-1, 5, (9, 20, 30))
    expected = dict(
        zip(*(part.tolist() for part in np.unique(array, return_counts=True)), strict=True)
    )
    for kind in ("i1", "i2", "i4", "i8", ">i4"):
        assert label_counts(array.astype(kind).transpose(1, 0, 2)) == expected
    wide = np.array([[[0, 10**12, 0, -(10**12)]]])
    assert label_counts(wide) == {-(10**12): 1, 0: 2, 10**12: 1}
    with pytest.raises(TypeError, match="labels are integers"):
        label_counts(np.zeros((2, 2, 2)))


@given(
    st.sampled_from(["u1", "i1", "u2", "i2"]),
    st.integers(0, 70),
    st.floats(0, 1),
    st.sampled_from([1, -1, 2]),
)
def test_label_counts_of_mostly_zeros(dtype, size, share, step):
    random = np.random.default_rng(size)
    limits = np.iinfo(dtype)
    values = random.integers(limits.min, limits.max, size, dtype, endpoint=True)
    values *= random.random(size) < share
    values = values[::step]
    found, numbers = np.unique(values, return_counts=True)
    assert label_counts(values) == dict(zip(found.tolist(), numbers.tolist(), strict=True))
