"""Curves: composition against step by step, and many numbers at once against one by one."""

import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.curve import Curve, Pointwise, compose, curve
from gpuprep.ops.pointwise import ClipAffine, affine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.table import Table
from gpuprep.preprocess.curves import gamma, logarithm
from gpuprep.values.grids import GridMapping

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))
steps_of_line = st.one_of(st.floats(0.1, 10), st.floats(-10, -0.1)).map(lambda v: round(v, 3))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    x = draw(st.lists(numbers, min_size=2, max_size=7, unique_by=lambda v: round(v, 1)))
    rises = draw(st.lists(st.sampled_from([0, 0.5, 1, 7.25]), min_size=len(x), max_size=len(x)))
    return Table(tuple(sorted(x)), tuple(np.cumsum(rises).tolist()))


@st.composite
def steps(draw: st.DrawFn) -> Pointwise:
    low, high = sorted((draw(numbers), draw(numbers)))
    low, high = draw(st.sampled_from([(low, high), (-math.inf, high), (low, math.inf)]))
    line = draw(steps_of_line), draw(numbers)
    if draw(st.booleans()):
        return Curve(draw(tables()), low, high, *line)
    return ClipAffine(low, high, *line)


def one_by_one(chain: list[Pointwise], value: float) -> tuple[float, float]:
    """The result, and how much an error of an input could grow on the way."""
    gain = 1.0
    for step in chain:
        slope = 1.0
        if isinstance(step, Curve):
            slope = max(np.diff(step.table.y) / np.diff(step.table.x))
        value, gain = step(value), max(1.0, gain * max(slope, 1.0) * max(abs(step.scale), 1.0))
    return value, gain


@given(st.lists(steps(), max_size=5), st.lists(numbers, min_size=1, max_size=8))
def test_a_folded_chain_equals_its_steps(chain: list[Pointwise], values: list[float]) -> None:
    folded = reduce(compose, chain, ClipAffine())
    assert isinstance(folded, ClipAffine | Curve)
    for value in (*values, -1e4, 1e4):
        expected, gain = one_by_one(chain, value)
        assert abs(folded(value) - expected) <= 1e-10 * gain * max(1.0, abs(expected), 1e4)


@given(steps(), steps(), steps())
def test_folding_is_associative_in_its_results(a: Pointwise, b: Pointwise, c: Pointwise) -> None:
    left, right = compose(compose(a, b), c), compose(a, compose(b, c))
    for value in (-1e3, -3.0, 0.0, 0.5, 1e3):
        assert left(value) == pytest.approx(right(value), rel=1e-8, abs=1e-4)


@given(tables(), numbers)
def test_an_inverse_gives_the_value_back(table: Table, value: float) -> None:
    found = table.inverse(value)
    if math.isfinite(found):
        assert table(found) == pytest.approx(value, rel=1e-9, abs=1e-8)
    else:
        lowest, highest = table(-math.inf), table(math.inf)
        assert not lowest <= value <= highest or value in (lowest, highest)


@given(steps(), st.sampled_from(["i1", "u1", "i2", "u2", "i4", "f2", "f4", "f8"]))
def test_many_numbers_at_once_as_one_by_one(step: Pointwise, kind: str) -> None:
    random = np.random.default_rng(3)
    array = random.integers(0 if kind[0] == "u" else -120, 121, (3, 5, 40)).astype(kind)
    if kind[0] == "f":
        array += random.random(array.shape).astype(kind)
    if isinstance(step, ClipAffine):
        step = compose(step, curve(Table((-50.0, 0.0, 3.0), (0.0, 1.0, 9.0))))
    expected = np.array([step(float(value)) for value in array.flat]).reshape(array.shape)
    size = max(np.ptp(expected), abs(expected).max(), 1e-3)
    for turned in (array, array[::-1, ::2], array.transpose(2, 0, 1)):
        wanted = expected[::-1, ::2] if turned.shape[1] == 3 else expected
        wanted = expected.transpose(2, 0, 1) if turned.shape[0] == 40 else wanted
        assert abs(step.apply(turned) - wanted).max() <= 1e-6 * size
    if abs(expected).max() < 30_000:
        assert (step.apply(array, np.int16) == np.rint(step.apply(array, np.float64))).mean() > 0.98


def dense(spacing: str, count: int) -> Table:
    even = np.linspace(0, 1, count)
    x = {"even": even, "crowded": even**4, "scattered": np.random.default_rng(1).random(count)}
    x = np.unique(x[spacing]) * 3000 - 1000
    return Table(tuple(x.tolist()), tuple(np.cumsum(np.random.default_rng(2).random(len(x)) ** 8)))


@pytest.mark.parametrize("count", [3, 11, 700, 9000])
@pytest.mark.parametrize("spacing", ["even", "crowded", "scattered"])
def test_every_float32_finds_its_segment(spacing: str, count: int) -> None:
    table = dense(spacing, count)
    knots = np.array(table.x, np.float32)
    near = [np.nextafter(knots, np.float32(end)) for end in (-np.inf, np.inf)]
    values = np.concatenate([knots, *near, np.linspace(-1500, 2500, 20_001, dtype=np.float32)])
    for step in (curve(table), Curve(table, -900, 1800, -2.0, 1.0)):
        expected = step.evaluate(values)
        assert abs(step.apply(values) - expected).max() <= 3e-7 * np.abs(expected).max()
        many = np.tile(values, (40, 3, 1))  # more than one piece of work
        assert (step.apply(many) == step.apply(values)).all()


@pytest.mark.parametrize("turned", [1.0, -1.0])
@pytest.mark.parametrize("ends", [(0.1, 1000.1), (-1000.3, -0.7), (7.0, 7.3)])
def test_what_is_held_at_an_end_has_the_ends_own_result(ends: tuple[float, float], turned: float):
    """However steep the curve is there: float32 has neither end."""
    low, high = ends
    near = (high - low) * 1e-3
    step = Curve(Table((low, low + near, high - near, high), (0.0, 0.4, 0.6, 1.0)), *ends, turned)
    given_ = np.array([-3e38, low, low + near, high - near, high, 3e38], np.float32)
    found = step.apply(given_)
    assert found[0] == step(low)
    assert abs(found[-1] - step(high)) <= 6e-8
    assert abs(found - step.evaluate(given_)).max() <= 8e-7


@pytest.mark.parametrize("low", [0.0, 0.1, -1000.0, -1000.3, 1e4 / 3, 1e-9])
@pytest.mark.parametrize("bend", ["gamma 0.3", "gamma 0.7", "gamma 2.2", "logarithm", "even"])
def test_smooth_and_even_curves_have_a_line_in_each_bucket(bend: str, low: float) -> None:
    """Checked beside each edge and each knot, beyond the ends, and where nothing is special."""
    ends = low, low + 1400.7
    if bend == "even":
        y = np.cumsum(np.random.default_rng(4).random(256) ** 20)
        step = curve(Table.of(np.linspace(*ends, 256), y))
    else:
        power = bend.removeprefix("gamma ")
        step = logarithm(ends, hold=True) if power == bend else gamma(float(power), ends, hold=True)
    assert isinstance(step, Curve)
    found = step.buckets
    assert found is not None
    near = np.concatenate([found.x, np.float32(step.table.x), np.linspace(*ends, 9_999)])
    near = np.concatenate([near, np.float32([-3e38, 3e38, -np.inf, np.inf])]).astype(np.float32)
    values = np.concatenate([np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf)])
    lowest, highest = step.bounds()
    most = 8e-7 * (highest - lowest) + np.spacing(np.float32(highest))
    for each in (near, values):
        assert abs(step.apply(each) - step.evaluate(each)).max() <= most
    assert step.apply(np.float32([-np.inf]))[0] == np.float32(step(-math.inf))
    assert np.isnan(step.apply(np.float32([np.nan, 0.0]))[0])


def test_a_piece_too_steep_for_float32_gives_no_nan() -> None:
    step = curve(Table((0.0, 1e-200, 1e-40, 1.0), (0.0, 0.1, 0.2, 1.0)))
    found = step.apply(np.array([-1, 0, 1e-45, 1e-40, 1e-30, 1], np.float32))
    np.testing.assert_allclose(found[[0, 1, 4, 5]], [0, 0, 0.2, 1], atol=1e-6)
    assert 0 <= found[2] <= found[3] <= 0.2
    whole = curve(Table((-3e38, 0.0, 3e38), (0.0, 0.5, 2.0)))
    found = whole.apply(np.array([-3.4e38, -3e38, 0, 1e38, 3e38, 3.4e38], np.float32))
    np.testing.assert_allclose(found, [0, 0, 0.5, 1, 2, 2], atol=1e-6)
    wide = Curve(Table((-1e300, 0.0, 1e300), (0.0, 0.5, 2.0)), -1e300, 1e300)
    assert (wide.apply(np.array([-3e38, 3e38], np.float32)) == 0.5).all()


def test_nan_stays_nan_and_infinities_meet_the_ends() -> None:
    step = curve(Table((0.0, 1.0, 4.0), (0.0, 1.0, 2.0)))
    found = step.apply(np.array([np.nan, -np.inf, np.inf, 2.5], np.float32))
    np.testing.assert_array_equal(found, np.float32([np.nan, 0, 2, 1.5]))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ((0.0,), (0.0,)),
        ((0.0, 1.0), (0.0,)),
        ((1.0, 0.0), (0.0, 1.0)),
        ((0.0, 0.0), (0.0, 1.0)),
        ((0.0, 1.0), (1.0, 0.0)),
        ((0.0, math.inf), (0.0, 1.0)),
    ],
)
def test_what_is_no_table_is_refused(x: tuple[float, ...], y: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="table"):
        Table(x, y)


def test_what_bends_nowhere_folds_into_a_line() -> None:
    bent = Curve(Table((0.0, 1.0, 4.0), (0.0, 1.0, 2.0)))
    assert isinstance(compose(clip(1.5, 3.0), bent), ClipAffine)
    assert compose(bent, affine(0.0, 5.0)) == affine(0.0, 5.0)
    beyond = compose(bent, clip(10.0, 11.0))
    assert isinstance(beyond, ClipAffine)
    assert [beyond(x) for x in (0.0, 29.5, 90.0)] == pytest.approx([10.0, 10.5, 11.0])


@pytest.mark.parametrize("kind", ["i2", "f4"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_a_curve_goes_before_the_mixing(kind: str, interpolation: str) -> None:
    array = np.random.default_rng(0).integers(-900, 900, (9, 17, 23)).astype(kind)
    step = curve(Table((-800.0, 0.0, 500.0), (0.0, 100.0, 130.0)))
    mapping = GridMapping((7, 20, 11), (9 / 7, 17 / 20, 23 / 11), (0.1, 0.0, 0.4))
    limits = step.bounds()
    fused = Resampling(
        mapping, interpolation, prologue=step, epilogue=affine(2.0, 1.0), clip_to=limits
    )
    apart = Resampling(mapping, interpolation, epilogue=affine(2.0, 1.0), clip_to=limits)
    expected = resample(step.apply(array, np.float64), apart, dtype=np.float64)
    assert abs(resample(array, fused) - expected).max() <= 1e-6 * np.ptp(expected)
