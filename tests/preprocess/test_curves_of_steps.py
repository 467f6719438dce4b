"""Gamma, logarithm, equalisation and windows of tissues: against formulas and scikit-image, and in a run."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.ops.curve import Curve
from gpuprep.ops.float_histogram import count_floats
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.intensity import Intensity, percentile, resolve_intensity
from gpuprep.values.errors import ConfigError
from gpuprep.values.windows import PRESETS

GOLDENS = np.load(Path(__file__).parents[1] / "goldens/skimage.npz")
CT = np.random.default_rng(0).normal(0, 400, (9, 20, 24)).astype(np.int16)


def resolve(steps, array, mask=None) -> Intensity:
    config = parse_config({"image": {"intensity": steps}})
    inside = array != 0 if mask is None else mask
    foreground = lambda: measure(array, inside)  # noqa: E731
    return resolve_intensity(config.image.intensity, measure(array), foreground)


@pytest.mark.parametrize("kind", ["i2", "f4", "f8"])
@pytest.mark.parametrize("value", [0.05, 0.3, 0.7, 1.0, 1.5, 4.0, 20.0])
def test_gamma_is_the_power_of_the_place_in_the_range(value: float, kind: str) -> None:
    array = CT.astype(kind)
    low, high = float(array.min()), float(array.max())
    expected = low + (high - low) * ((array - low) / (high - low)).astype(np.float64) ** value
    found = resolve([{"gamma": {"value": value}}], array).chain.apply(array, np.float64)
    assert abs(found - expected).max() <= 5e-7 * (high - low)


@pytest.mark.parametrize("high", [1e-3, 1.0, 900.0])
@pytest.mark.parametrize("value", [0.05, 0.08, 0.15])
def test_a_low_gamma_leaves_the_zeros_of_float32_alone(value: float, high: float) -> None:
    array = np.linspace(0, high, 999, dtype=np.float32).reshape(3, 9, 37)
    array[0, 0, 1:4] = 1e-45, 1e-41, 1e-30
    found = resolve([{"gamma": {"value": value}}], array).chain.apply(array)
    assert found[0, 0, 0] == 0
    assert abs(found - high * (array.astype(float) / high) ** value).max() <= 1e-4 * high


@pytest.mark.parametrize("high", [1e-3, 1.0, 4095.0, 1e9])
def test_the_logarithm_of_one_more_than_the_height_above_the_least(high: float) -> None:
    array = np.linspace(-3, high, 4000).reshape(10, 20, 20)
    found = resolve([{"log": {}}], array).chain.apply(array, np.float64)
    assert abs(found - np.log1p(array + 3)).max() <= 5e-7 * np.log1p(high + 3)


def test_what_lies_beyond_a_given_range_is_held() -> None:
    for name, given_ in (("gamma", {"value": 0.5, "from": [0, 100]}), ("log", {"from": [0, 100]})):
        found = resolve([{name: given_}], CT)
        assert found.output == (found.chain(0.0), found.chain(100.0))
        assert found.to_json()["clip"] == [0, 100]


@pytest.mark.parametrize("bins", [16, 256])
@pytest.mark.parametrize("over", ["image", "foreground"])
@pytest.mark.parametrize("earlier", [[], [{"multiply": {"by": 0.01}}, {"offset": {"by": 4}}]])
def test_equalisation_is_scikit_images(bins: int, over: str, earlier: list) -> None:
    image = GOLDENS["image"]
    steps = [*earlier, {"equalize": {"bins": bins, "over": over}}]
    found = resolve(steps, image, image > -900).chain.apply(image)
    assert abs(found - GOLDENS[f"{over}_{bins}"]).max() <= 2e-6


def test_equalised_integers_are_spread_evenly() -> None:
    found = resolve([{"equalize": {"bins": 4096}}], CT).chain.apply(CT, np.float64)
    ranks = np.searchsorted(np.sort(CT.ravel()), CT.ravel(), "right") / CT.size
    assert abs(found.ravel() - ranks).max() < 0.005


STEPS = {
    "gamma": {"value": 0.6},
    "log": {},
    "equalize": {"bins": 53},
    "clip": {"low": -300, "high": 400},
    "multiply": {"by": -0.5},
    "zscore": {},
    "percentile_clip": {"low": 2, "high": 97},
    "rescale": {"to": [0, 1]},
}


@given(
    st.sampled_from([[], ["clip"]]),
    st.lists(st.sampled_from(sorted({*STEPS} - {"clip"})), min_size=1, max_size=4),
    st.booleans(),
)
def test_chains_are_decided_as_step_by_step(first: list, rest: list, whole: bool) -> None:
    names = first + rest
    array = CT if whole else CT.astype(np.float32) + 0.25
    chain = resolve([{name: STEPS[name]} for name in names], array)
    values = array.astype(np.float64)
    for name in names:
        values = resolve([{name: STEPS[name]}], values).chain.apply(values, np.float64)
    size = max(np.ptp(values), abs(values).max(), 1e-9)
    assert abs(chain.chain.apply(array, np.float64) - values).max() <= 1e-5 * size
    assert values.min() >= chain.output[0] - 1e-5 * size
    assert values.max() <= chain.output[1] + 1e-5 * size


@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_statistics_after_a_curve(kind: str) -> None:
    array = CT.astype(kind)
    chain = resolve([{"gamma": {"value": 2.5}}, {"multiply": {"by": -2}}], array).chain
    after = chain.apply(array, np.float64)
    for values in (measure(array), count_floats(CT.astype(np.float32))):
        assert isinstance(chain, Curve)
        found = values.moments_after(chain)
        assert found == pytest.approx((after.mean(), after.std()), rel=1e-6)
        expected = np.percentile(after, 12.5)
        assert percentile(values, chain, 12.5) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("outside", ["keep", "zero"])
def test_the_whole_chain_is_what_is_recorded(outside: str) -> None:
    steps = [{"clip": {"low": -500, "high": 500}}, {"gamma": {"value": 0.5}}, {"zscore": {}}]
    config = parse_config({"image": {"intensity": steps}})
    found = resolve_intensity(
        config.image.intensity, measure(CT), lambda: measure(CT, CT > 0), outside=outside
    )
    chain = found.about_zero() if outside == "zero" else found
    assert chain.chain.apply(CT) == pytest.approx(found.chain.apply(CT), abs=1e-5)
    if outside == "zero":
        assert chain.epilogue(0.0) == 0


def test_presets_are_windows() -> None:
    for name, window in PRESETS.items():
        found = resolve([{"window": {"preset": name}}], CT)
        half = window.width / 2
        assert (found.prologue.low, found.prologue.high) == (
            window.level - half,
            window.level + half,
        )
    abdomen, lung = (PRESETS[name] for name in ("abdomen", "lung"))
    assert (abdomen.level, abdomen.width, lung.level, lung.width) == (40, 400, -600, 1500)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("window: {preset: heart}", "lung"),
        ("window: {preset: lung, level: 3}", "preset says what level says"),
        ("window: {level: 3}", "give level and width, or a preset"),
        ("gamma: {value: 0}", "0.05"),
        ("gamma: {value: 2, from: [3, 3]}", "lower one first"),
        ("equalize: {bins: 1}", "2"),
        ("equalize: {over: cohort}", "foreground"),
    ],
)
def test_what_no_step_takes(step: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"image: {{intensity: [{{{step}}}]}}")
    with pytest.raises(ConfigError, match=words):
        gpuprep.load_config(path)
