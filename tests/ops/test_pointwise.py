"""Folding intensity steps: closed form against step by step, and what ``apply`` promises."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.pointwise import ClipAffine, affine, clip

numbers = st.floats(-1e4, 1e4, allow_subnormal=False)
scales = st.one_of(st.just(0.0), st.floats(1e-3, 1e3), st.floats(-1e3, -1e-3))
ends = st.one_of(numbers, st.just(-math.inf), st.just(math.inf))


@st.composite
def steps(draw: st.DrawFn) -> ClipAffine:
    low, high = sorted((draw(ends), draw(ends)))
    if low == math.inf or high == -math.inf:
        low, high = -math.inf, math.inf
    return ClipAffine(low, high, draw(scales), draw(numbers))


@given(st.lists(steps(), max_size=6), st.lists(numbers, min_size=1, max_size=8))
def test_a_folded_chain_equals_its_steps(chain: list[ClipAffine], values: list[float]) -> None:
    folded = reduce(ClipAffine.then, chain, ClipAffine())
    for value in values:
        expected, error = value, 0.0
        for step in chain:  # the rounding that each step may add, carried through the later scales
            clipped = min(max(expected, step.low), step.high)
            expected = clipped * step.scale + step.offset
            size = abs(clipped * step.scale) + abs(step.offset)
            error = (error + 1e-15 * abs(clipped)) * abs(step.scale) + 4e-16 * size
        ends_of_clips = [e for s in chain for e in (s.low, s.high) if math.isfinite(e)]
        gain = math.prod(max(1.0, abs(s.scale)) for s in chain)
        slack = 1e-13 * gain * max(1.0, *map(abs, [*ends_of_clips, value, 1e4]))
        assert abs(folded(value) - expected) <= error + slack


@given(steps(), steps(), steps())
def test_folding_is_associative_in_its_results(a: ClipAffine, b: ClipAffine, c: ClipAffine) -> None:
    left, right = a.then(b).then(c), a.then(b.then(c))
    for value in (-1e5, -3.0, 0.0, 0.5, 1e5):
        assert left(value) == pytest.approx(right(value), rel=1e-9, abs=1e-2)


@given(steps(), numbers, numbers)
def test_bounds_hold_every_result_and_are_met(
    step: ClipAffine, first: float, second: float
) -> None:
    low, high = sorted((first, second))
    smallest, largest = step.bounds(low, high)
    assert {step(low), step(high)} == {smallest, largest}
    for value in np.linspace(low, high, 7):
        assert smallest <= step(float(value)) <= largest


def test_constructors() -> None:
    assert clip(-1000, 400).bounds() == (-1000, 400)
    assert affine(2, 3)(11.0) == 25.0
    assert ClipAffine().identity


@pytest.mark.parametrize(
    "wrong",
    [(1, 0, 1, 0), (math.nan, 1, 1, 0), (0, 1, math.inf, 0), (0, 1, 1, math.nan), (math.inf,) * 4],
)
def test_impossible_steps_are_refused(wrong: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"clip interval|must be finite"):
        ClipAffine(*wrong)


def test_a_second_interval_out_of_reach_is_a_constant() -> None:
    assert clip(0, 1).then(clip(5, 9))(0.3) == 5
    assert clip(0, 1).then(affine(-1)).then(clip(-9, -5))(0.3) == -5
    assert affine(0, 4).then(affine(2, 1))(77.0) == 9


@given(steps(), st.lists(numbers, min_size=1, max_size=5))
def test_apply_to_float64_is_the_definition(step: ClipAffine, values: list[float]) -> None:
    array = np.array(values).reshape(1, 1, -1)
    result = step.apply(array, np.float64)
    assert result.dtype == np.float64
    assert result.ravel().tolist() == [step(value) for value in values]


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.uint8, np.int32, np.float16, np.float32])
def test_apply_is_accurate_to_two_units_in_the_last_place(dtype: type) -> None:
    rng = np.random.default_rng(1)
    array = rng.integers(0, 250, (5, 6, 7)).astype(dtype)[::-1, :, ::2].transpose(2, 0, 1)
    for step in (affine(1 / 3.7, -31.25), affine(-2.5, 1e4), ClipAffine(20, 90.5, 0.01, -0.9)):
        exact = step.apply(array.astype(np.float64), np.float64)
        result = step.apply(array)
        assert result.dtype == np.float32
        assert np.all(np.abs(result - exact) <= 2 * np.spacing(np.abs(exact).astype(np.float32)))
        assert result.min() >= np.float32(exact.min())
        assert result.max() <= np.float32(exact.max())


def test_clipped_results_meet_their_bounds_exactly() -> None:
    step = clip(-1000, 400).then(affine(1 / 317.3, 98.7 / 317.3))
    result = step.apply(np.array([[[-2000, 0, 2000]]], np.int16))
    low, high = step.bounds()
    assert (result.min(), result.max()) == (np.float32(low), np.float32(high))


def test_integers_are_rounded_half_to_even_and_never_wrap() -> None:
    halves = np.array([[[-1.5, -0.5, 0.5, 1.5, 2.5, 1e9, -1e9, 3e38]]], np.float32)
    assert affine().apply(halves, np.int16).tolist() == [[[-2, 0, 0, 2, 2, 32767, -32768, 32767]]]
    assert affine().apply(halves, np.uint8).tolist() == [[[0, 0, 0, 2, 2, 255, 0, 255]]]
    assert affine().apply(halves, np.int32).max() > 2**31 - 200
    big = np.array([[[2**31 - 1, -(2**31), 40000, -40000]]], np.int32)
    assert affine().apply(big, np.int16).tolist() == [[[32767, -32768, 32767, -32768]]]
    assert affine().apply(big, np.uint64).min() == 0
    assert affine(2).apply(big, np.int32).tolist() == [[[2**31 - 1, -(2**31), 80000, -80000]]]
    assert affine().apply(np.array([[[2**63]]], np.uint64), np.int64).item() == 2**63 - 1


def test_the_identity_keeps_every_bit() -> None:
    rng = np.random.default_rng(2)
    for dtype in (np.int16, np.int32, np.uint64, np.float16, np.float32, np.float64):
        array = rng.integers(0, 255, (3, 4, 5)).astype(dtype)
        assert affine().apply(array, dtype).tobytes() == array.tobytes()


def test_out_of_any_strides_is_written_in_place() -> None:
    out = np.zeros((4, 5, 6), np.float32).transpose(2, 1, 0)[::-1]
    array = np.arange(120, dtype=np.int16).reshape(6, 5, 4)
    assert affine(0.5).apply(array, out=out) is out
    np.testing.assert_array_equal(out, array * 0.5)
