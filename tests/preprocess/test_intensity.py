"""The decided numbers: chains against step-by-step NumPy, dtype guards, cohort statistics."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gpuprep.config.file import parse_config
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.intensity import Intensity, resolve_intensity
from gpuprep.values.errors import ConfigError


def resolve(steps, array, mask=None, cohort=None) -> Intensity:
    config = parse_config({"image": {"intensity": steps}})
    foreground = array != 0 if mask is None else mask
    return resolve_intensity(
        config.image.intensity, measure(array), lambda: measure(array, foreground), cohort
    )


def applied(intensity: Intensity, array):
    return intensity.epilogue.apply(
        intensity.prologue.apply(array, np.float64).astype(np.float64), np.float64
    )


def one_step(name, given, values, chosen):
    """One step on an array, as NumPy would be used for it."""
    if name == "clip":
        return np.clip(values, given["low"], given["high"])
    if name == "window":
        half = given["width"] / 2
        return np.clip(values, given["level"] - half, given["level"] + half)
    if name == "percentile_clip":
        return np.clip(values, *np.percentile(chosen, [given["low"], given["high"]]))
    if name == "rescale":
        (a, b), (c, d) = given["from"], given["to"]
        return (values - a) * (d - c) / (b - a) + c
    if name == "zscore":
        assume(chosen.std() > 1e-6)  # of a constant, only rounding would be standardised
        return (values - chosen.mean()) / max(chosen.std(), 1e-8)
    if name == "zero_center":
        return values - chosen.mean()
    return values * given["by"] if name == "multiply" else values + given["by"]


def step_by_step(steps, array, mask):
    """The same chain, one NumPy pass per step."""
    values = array.astype(np.float64)
    for step in steps:
        ((name, given),) = step.items()
        values = one_step(
            name, given, values, values[mask] if given.get("over") == "foreground" else values
        )
    return values


overs = st.sampled_from(["image", "foreground"])
step = st.one_of(
    st.tuples(st.integers(-900, 0), st.integers(1, 900)).map(
        lambda p: {"clip": {"low": p[0], "high": p[1]}}
    ),
    st.tuples(st.integers(-300, 300), st.integers(50, 900)).map(
        lambda p: {"window": {"level": p[0], "width": p[1]}}
    ),
    st.tuples(st.floats(0, 40), st.floats(60, 100), overs).map(
        lambda p: {"percentile_clip": {"low": p[0], "high": p[1], "over": p[2]}}
    ),
    overs.map(lambda over: {"zscore": {"over": over}}),
    overs.map(lambda over: {"zero_center": {"over": over}}),
    st.sampled_from([-2.0, 0.5, 3.0]).map(lambda by: {"multiply": {"by": by}}),
    st.integers(-50, 50).map(lambda by: {"offset": {"by": by}}),
    st.just({"rescale": {"to": [0, 1], "from": [-100.0, 300.0]}}),
)


@given(st.lists(step, max_size=5), st.integers(0, 2**32 - 1), st.sampled_from(["i2", "f4"]))
def test_chain_equals_numpy_step_by_step(steps, seed, dtype):
    random = np.random.default_rng(seed)
    array = (random.normal(0, 300, (5, 6, 7))).astype(dtype)
    mask = random.random(array.shape) < 0.5
    mask[0, 0, 0] = True
    expected = step_by_step(steps, array, mask)
    intensity = resolve(steps, array, mask)
    span = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(applied(intensity, array), expected, atol=1e-9 * span)
    low, high = intensity.output
    slack = 1e-9 * span
    assert low - slack <= expected.min()
    assert expected.max() <= high + slack


def test_rescale_takes_the_range_of_the_clip_before_it():
    array = np.array([[[-50, 0, 50]]], np.int16)
    intensity = resolve([{"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}}], array)
    np.testing.assert_allclose(applied(intensity, array).ravel(), [950 / 1400, 1000 / 1400, 0.75])


def test_constant_image_is_safe_everywhere():
    array = np.full((3, 3, 3), 7, np.int16)
    for steps in ([{"zscore": {}}], [{"rescale": {"to": [0, 1]}}]):
        assert (applied(resolve(steps, array), array) == 0).all()


def test_empty_foreground_falls_back_to_the_image():
    array = np.zeros((2, 2, 2), np.int16)
    assert (applied(resolve([{"zscore": {"over": "foreground"}}], array), array) == 0).all()


def test_cohort_statistics_are_the_merged_histogram():
    random = np.random.default_rng(1)
    cases = [random.integers(-100, 200, (4, 4, 4)).astype(np.int16) for _ in range(3)]
    cohort = measure(cases[0]).merge(measure(cases[1])).merge(measure(cases[2]))
    everything = np.concatenate(cases).astype(float)
    steps = [{"zscore": {"over": "cohort"}}]
    expected = (cases[0] - everything.mean()) / everything.std()
    np.testing.assert_allclose(
        applied(resolve(steps, cases[0], cohort=cohort), cases[0]), expected, rtol=1e-9
    )
    with pytest.raises(ConfigError, match="cohort"):
        resolve(steps, cases[0])


@given(st.lists(step, max_size=4), st.integers(0, 2**32 - 1))
def test_zero_outside_is_the_chain_inside_and_zero_elsewhere(steps, seed):
    random = np.random.default_rng(seed)
    array = random.normal(0, 300, (5, 6, 7)).astype("f4")
    mask = random.random(array.shape) < 0.5
    mask[0, 0, :2] = True
    config = parse_config({"image": {"intensity": steps}})
    intensity = resolve_intensity(
        config.image.intensity, measure(array), lambda: measure(array, mask), outside="zero"
    )
    expected = np.where(mask, step_by_step(steps, array, mask), 0.0)
    moved = intensity.about_zero()
    between = np.where(mask, moved.prologue.apply(array, np.float64), 0.0)
    slack = 1e-6 * float(max(1.0, np.abs(between).max(), np.abs(expected).max()))
    assert moved.limits[0] - slack <= between.min()
    assert between.max() <= moved.limits[1] + slack
    result = moved.epilogue.apply(between, np.float64)
    np.testing.assert_allclose(result, expected, atol=slack)
    assert (result[~mask] == 0).all()


def test_a_constant_chain_is_zero_outside_too():
    array = np.full((3, 3, 3), 7, np.int16)
    config = parse_config({"image": {"intensity": [{"rescale": {"to": [2, 3]}}]}})
    intensity = resolve_intensity(
        config.image.intensity, measure(array), lambda: measure(array), outside="zero"
    ).about_zero()
    assert intensity.limits == (0, 2)
    assert intensity.epilogue(intensity.prologue(7.0)) == 2
    assert intensity.epilogue(0.0) == 0
