"""Counts of fractional voxels: NumPy's statistics within the stated bound, whatever the order of merging."""

import json
import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.float_histogram import EMPTY, FloatHistogram, count_floats
from gpuprep.ops.histogram import Histogram
from gpuprep.ops.mergeable import Mergeable, merge, mergeable_from_json, to_mergeable
from gpuprep.ops.statistics import measure

WIDTH = 2.0**-13  # of a bin, relative
PERCENTILES = [0, 0.5, 3, 50, 77.7, 99.5, 100]

numbers = st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(-3, 3, width=32)
volumes = st.lists(numbers | st.sampled_from([0.0, -0.0, 1.0, 1000.25]), min_size=1, max_size=40)
whole = st.lists(st.integers(-1024, 30000), min_size=1, max_size=40)
cohorts = st.lists(volumes | whole, min_size=1, max_size=6)


def counted(values: list[float] | list[int] | np.ndarray) -> Mergeable:
    """As a case is counted: integers by value, fractions by bin."""
    array = np.array(values)
    kind = np.int32 if array.dtype.kind == "i" else np.float32
    return to_mergeable(measure(array.astype(kind).reshape(1, 1, -1)))


def bits(values: Mergeable) -> str:
    return json.dumps(values.to_json())


def check(found: Mergeable, values: np.ndarray) -> None:
    """Against NumPy over all voxels: the moments exactly, percentiles within the width of a bin."""
    values = values.astype(np.float64)
    largest = np.abs(values).max()
    assert found.count == values.size
    mean, std = found.moments()
    assert mean == pytest.approx(math.fsum(values) / values.size, rel=1e-12, abs=1e-12 * largest)
    assert std == pytest.approx(
        np.std(values / (largest or 1)) * largest, rel=1e-7, abs=1e-12 * largest
    )
    ordered = np.sort(values)
    ranks = range(values.size)
    off = np.abs(np.array(found.order_statistics(ranks)) - ordered)
    assert (off <= WIDTH * np.abs(ordered) + 2.0**-139).all()
    for q, value in zip(PERCENTILES, found.percentiles(PERCENTILES), strict=True):
        assert abs(value - np.percentile(values, q)) <= WIDTH * largest + 2.0**-139


@given(cohorts, st.randoms(use_true_random=False))
def test_any_order_of_cases_gives_the_same_bits_and_numpys_statistics(cases, random):
    total = reduce(merge, [counted(case) for case in cases])
    check(total, np.concatenate([np.float32(case) for case in cases]))
    parts = [counted(case) for case in cases]
    while len(parts) > 1:  # any two that come, as workers finish
        random.shuffle(parts)
        first, second, *parts = parts
        parts.append(merge(first, second))
    assert bits(parts[0]) == bits(total)


@given(volumes, st.floats(-5, 5), st.floats(0, 2000))
def test_clipped_moments_are_those_of_clipped_voxels_but_for_the_bins_of_the_bounds(
    values, low, width
):
    array = np.float32(values)
    clipped = np.clip(array.astype(np.float64), low, low + width)
    mean, std = count_floats(array).moments((low, low + width))
    bound = WIDTH * max(abs(low), abs(low + width)) + 1e-9
    assert abs(mean - clipped.mean()) <= bound
    assert abs(std - clipped.std()) <= 2 * bound


def test_real_numbers_of_voxels_masks_threads_and_what_is_not_finite():
    random = np.random.default_rng(3)
    array = random.gamma(2, 140, (70, 90, 110)).astype("f4").transpose(2, 0, 1)[::-1]
    array[random.random(array.shape) < 0.1] = np.nan
    array[3, 4, :7] = np.inf
    mask = random.random(array.shape) < 0.6
    found = count_floats(array, mask)
    inside = array[mask]
    assert (found.nan, found.inf) == (np.isnan(inside).sum(), np.isinf(inside).sum())
    known = inside[np.isfinite(inside)].astype(np.float64)
    assert found.count == known.size
    assert found.moments() == pytest.approx((known.mean(), known.std()), rel=1e-12)
    assert found.percentiles(PERCENTILES) == pytest.approx(
        np.percentile(known, PERCENTILES).tolist(), rel=WIDTH
    )
    assert bits(count_floats(array, mask, threads=3)) == bits(found)
    halves = count_floats(array[:50], mask[:50]), count_floats(array[50:], mask[50:])
    assert bits(halves[1].merge(halves[0])) == bits(found)
    assert len(found.places) < 1 << 17  # the summary is bounded, not as long as the volume


@given(whole)
def test_whole_numbers_are_the_same_from_either_side(values):
    """A CT kept as int16 in one file and as float32 in another has one histogram beside fractions."""
    integers = counted(values)
    assert isinstance(integers, Histogram)
    assert bits(FloatHistogram.of(integers)) == bits(counted(np.float64(values)))


@given(st.lists(st.integers(-(2**14), 2**14), min_size=1))
def test_small_whole_numbers_are_exact(values):
    found = count_floats(np.float32(values))
    assert found.percentiles(PERCENTILES) == np.percentile(np.float64(values), PERCENTILES).tolist()


def test_equal_voxels_have_no_deviation():
    for value in (0.1, -1e-3, 1000.3, 3e38):
        found = count_floats(np.full(1001, value, "f4"))
        assert found.moments() == (pytest.approx(float(np.float32(value)), rel=1e-15), 0)
        assert found.percentiles([1, 50]) == pytest.approx(
            [float(np.float32(value))] * 2, rel=1e-15
        )


@given(volumes, st.integers(0, 3))
def test_json_gives_it_back_and_damage_is_noticed(values, absent):
    found = count_floats(np.float32([*values, *[np.nan] * absent]))
    again = mergeable_from_json(json.loads(bits(found)))
    assert isinstance(again, FloatHistogram)
    assert bits(again) == bits(found)
    assert again.nan == absent
    fields = found.to_json()
    for name, wrong in (
        ("bins", 1 << 23),
        ("bins", len(found.places) + 1),
        ("counts", "x"),
        ("squares", ""),
    ):
        with pytest.raises(ValueError, match=r"histogram"):
            mergeable_from_json({**fields, name: wrong})


def test_nothing_is_nothing():
    assert bits(EMPTY.merge(EMPTY)) == bits(EMPTY)
    assert bits(mergeable_from_json(EMPTY.to_json())) == bits(EMPTY)
    nothing = Histogram.of(0, np.zeros(0, np.int64))
    assert merge(nothing, EMPTY).count == 0
    assert merge(nothing, counted([0.5])).count == 1
    with pytest.raises(ValueError, match="no voxels"):
        EMPTY.moments()


def test_integers_too_far_apart_to_count_are_binned():
    array = np.array([0, 1, 2**31 - 1, -5], np.int32).reshape(1, 1, 4)
    found = to_mergeable(measure(array))
    assert isinstance(found, FloatHistogram)
    assert found.percentiles([0, 100]) == pytest.approx([-5, 2**31], rel=WIDTH)
    far = merge(counted([0, 1]), counted([2**30, 2**30]))
    assert far.percentiles([0, 100]) == [0, 2**30]
