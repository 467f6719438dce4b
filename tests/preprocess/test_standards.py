"""Nyúl's standardisation and histogram matching against TorchIO, intensity-normalization and scikit-image."""

from __future__ import annotations

import json
import random
from functools import reduce
from itertools import pairwise
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gpuprep.config.intensity import IntensityStep
from gpuprep.config.model import Config
from gpuprep.config.standards import HistogramMatch, Nyul
from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.mergeable import merge, mergeable_from_json
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.intensity import fold_steps, percentiles_after, resolve_intensity
from gpuprep.preprocess.reference import with_reference
from gpuprep.preprocess.standards import cumulative, learn, match, nyul
from gpuprep.values.errors import ConfigError

GOLDEN = json.loads((Path(__file__).parents[1] / "goldens" / "standards.json").read_text())
DECILES = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


def volume(seed: int, dtype: str = "int16") -> np.ndarray:
    """A head of three tissues in the units of its own scanner; the golden file's maker has the same lines."""
    rng = np.random.default_rng(seed)
    tissues = rng.choice([200.0, 500.0, 800.0], size=(10, 11, 12), p=[0.3, 0.5, 0.2])
    values = (tissues + rng.normal(0, 40, tissues.shape)) * (0.5 + seed) + 20 * seed
    values[:2] = 0
    return np.clip(values, 0, 30000).astype(dtype)


def landmarks_of(
    array: np.ndarray, percentiles: tuple[float, ...], scale: tuple[float, float]
) -> Landmarks:
    found = percentiles_after(measure(array, array > 0), ClipAffine(), percentiles)
    return Landmarks.of("key", "MR", percentiles, found, scale)


@pytest.mark.parametrize("oracle", ["torchio", "intensity_normalization"])
def test_the_standard_and_its_maps_are_the_oracles(oracle):
    golden = GOLDEN[oracle]
    percentiles, scale = tuple(golden["percentiles"]), tuple(golden["scale"])
    learnt = reduce(merge, (landmarks_of(volume(seed), percentiles, scale) for seed in range(3)))
    assert isinstance(learnt, Landmarks)
    np.testing.assert_allclose(learnt.standard, golden["standard"], rtol=0, atol=5e-8 * scale[1])
    array = volume(3)
    found = percentiles_after(measure(array, array > 0), ClipAffine(), percentiles)
    made = nyul(found, learnt.standard).apply(array, np.float64)
    expected = np.array(golden["made"]).reshape(array.shape)
    inside = array > 0
    np.testing.assert_allclose(made[inside], expected[inside], rtol=0, atol=2e-7 * scale[1])


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_matching_is_scikit_images(dtype):
    image, reference = (volume(0) // 4).astype(dtype), (volume(1) // 8).astype(dtype)
    values, shares = cumulative(measure(reference))
    assert len(values) <= 1024
    step = HistogramMatch(values=values, shares=shares)
    made = match(measure(image), ClipAffine(), step).apply(image, np.float64)
    expected = np.array(GOLDEN["scikit_image"]["made"]).reshape(image.shape)
    reach = expected.max() - expected.min()
    if dtype == "int16":  # each value is a knot
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-9 * reach)
    else:  # even ranks
        assert np.abs(made - expected).max() <= 0.01 * reach
        assert np.abs(made - expected).mean() <= 0.001 * reach


def test_of_more_values_than_points_each_is_within_a_rank_of_its_place():
    rng = np.random.default_rng(3)
    image, reference = rng.integers(0, 20000, 40000), rng.integers(0, 9000, 40000) ** 2 // 9000
    values, shares = cumulative(measure(reference))
    assert 900 < len(values) <= 1024
    step = HistogramMatch(values=values, shares=shares)
    made = match(measure(image), ClipAffine(), step)
    expected = np.quantile(reference, np.arange(1, 10) / 10)
    found = [made(float(np.quantile(image, q / 10))) for q in range(1, 10)]
    np.testing.assert_allclose(found, expected, atol=0.003 * reference.max())


def test_a_case_matched_to_itself_stays():
    image = volume(1) // 4
    values, shares = cumulative(measure(image))
    made = match(measure(image), ClipAffine(), HistogramMatch(values=values, shares=shares))
    np.testing.assert_allclose(made.apply(image, np.float64), image, atol=1e-9 * image.max())


def test_a_chain_that_turns_values_round_is_matched_all_the_same():
    image, reference = volume(1) // 4, volume(2) // 8
    values, shares = cumulative(measure(reference))
    steps = [
        IntensityStep.model_validate({"multiply": {"by": -1}}),
        IntensityStep(histogram_match=HistogramMatch(values=values, shares=shares)),
    ]
    made = fold_steps(steps, lambda _: measure(image))
    plain = match(measure(-image), ClipAffine(), HistogramMatch(values=values, shares=shares))
    for value in np.unique(image)[::7].tolist():
        assert made(value) == pytest.approx(plain(-value), abs=1e-6 * reference.max())


@pytest.mark.parametrize("sign", [1, -1])
def test_an_image_of_one_value_gets_the_largest_of_the_reference(sign: int) -> None:
    """All voxels are no larger than it, whichever way its chain turns values."""
    image = np.array([[[3, 5, 8]]], np.int16)
    steps = [{"clip": {"low": 10, "high": 20}}, {"multiply": {"by": sign}}]
    steps.append({"histogram_match": {"values": [0, 1, 7], "shares": [0.2, 0.5, 1]}})
    chain = [IntensityStep.model_validate(each) for each in steps]
    assert fold_steps(chain, lambda _: measure(image))(5) == 7


percentile_lists = st.lists(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4).map(sorted),
    min_size=1,
    max_size=12,
)


@given(percentile_lists, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_landmarks_add_up_to_the_same_bits_in_any_order(cases, chance: random.Random):
    shares = [Landmarks.of("k", "MR", (1, 40, 60, 99), found, (0, 100)) for found in cases]
    total = reduce(merge, shares)
    chance.shuffle(shares)
    half = len(shares) // 2
    parts = [reduce(merge, part) for part in (shares[:half], shares[half:]) if part]
    again = reduce(
        merge, [mergeable_from_json(json.loads(json.dumps(each.to_json()))) for each in parts]
    )
    assert again == total
    assert isinstance(total, Landmarks)
    if total.cases:
        assert list(total.standard) == sorted(total.standard)
        assert (total.standard[0], total.standard[-1]) == (0, 100)


@given(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=5, max_size=5).map(sorted),
    st.lists(st.floats(0, 100), min_size=5, max_size=5).map(sorted),
)
def test_a_map_to_the_standard_never_turns_round_and_hits_the_outer_landmarks(found, standard):
    made = nyul(found, standard)
    results = [made(value) for value in np.linspace(found[0] - 1, found[-1] + 1, 50)]
    assert all(b >= a - 1e-6 for a, b in pairwise(results))
    if found[0] < found[1] and found[-2] < found[-1]:
        assert made(found[0]) == pytest.approx(standard[0], abs=1e-6)
        assert made(found[-1]) == pytest.approx(standard[-1], abs=1e-6)


def test_a_constant_case_tells_nothing_and_goes_to_the_middle():
    same = Landmarks.of("k", "MR", (1, 50, 99), (7, 7, 7), (0, 100))
    assert same.cases == 0
    with pytest.raises(ValueError, match="no case has landmarks"):
        _ = same.standard
    assert nyul((7, 7, 7), (0, 30, 100))(7) == 30


def test_a_chain_goes_on_after_the_scale():
    step = {"nyul": {"percentiles": [0, 50, 100], "standard": {"MR": [0, 20, 100]}}}
    steps = [IntensityStep.model_validate(each) for each in (step, {"multiply": {"by": 0.01}})]
    image = measure(np.array([0, 5, 10], np.int16))
    made = resolve_intensity(steps, image, lambda: image, channel="MR").chain
    assert [made(value) for value in (0, 5, 7.5, 10, 20)] == pytest.approx([0, 0.2, 0.6, 1, 2.6])
    both = {"nyul": {"percentiles": [0, 100], "standard": {"MR": [0, 1], "CT": [0, 1]}}}
    with pytest.raises(ConfigError, match="standard for MR, CT, and not for PET"):
        fold_steps([IntensityStep.model_validate(both)], lambda _: image, channel="PET")


def test_learning_sees_values_after_the_steps_before():
    steps = [IntensityStep.model_validate(each) for each in ({"multiply": {"by": 2}}, {"nyul": {}})]
    (share,) = learn("MR", steps, lambda place: [place * 10 + q for q in range(11)])
    assert (share.cases, share.channel, share.percentiles) == (1, "MR", DECILES)
    assert share.standard[0] == 0
    assert learn("MR", steps[:1], lambda _: ()) == []


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"nyul": {"percentiles": [10, 10]}}], "percentiles must ascend"),
        ([{"nyul": {"to": [1, 0]}}], "give the lower one first"),
        ([{"nyul": {"standard": {"MR": [0, 1]}}}], "one number per percentile"),
        ([{"nyul": {}}, {"nyul": {}}], "a chain has one nyul"),
        ([{"nyul": {}}, {"zscore": {"over": "cohort"}}], "which nyul changes case by case"),
        ([{"histogram_match": {}}], "give a reference"),
        ([{"clip": {"low": 0, "high": 1}}, {"suv": "lean"}], "it comes first"),
        ([{"histogram_match": {"values": [2, 1], "shares": [0.5, 1]}}], "values must ascend"),
        ([{"histogram_match": {"values": [1, 2], "shares": [1, 0.5]}}], "shares must ascend"),
        ([{"histogram_match": {"values": [1, 2], "shares": [0.5, 50]}}], "end at 1"),
        ([{"suv": "lean"}, {"zscore": {"over": "cohort"}}], "which suv changes case by case"),
    ],
)
def test_configs_that_mean_nothing_are_refused(steps, words):
    with pytest.raises(ValidationError, match=words):
        Config.model_validate({"image": {"intensity": steps}})


def config_of(step: dict) -> Config:
    return Config.model_validate({"image": {"intensity": [step]}})


def test_what_a_file_says_counts_and_not_where_it_lies(tmp_path):
    row = {"channel": "0", "percentiles": [1, 99], "standard": [0, 50], "cases": 3}
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "landmarks.json").write_text(json.dumps({"nyul": [row]}))
        made = with_reference(config_of({"nyul": {"landmarks": str(tmp_path / name)}}))
        step = made.image.intensity[0].step
        assert isinstance(step, Nyul)
        assert (step.percentiles, step.standard) == ((1, 99), {"0": (0, 50)})
        assert not made.needs_cohort
        assert with_reference(made) == made
        digests.add(made.digest)
    assert len(digests) == 1
    assert config_of({"nyul": {}}).needs_cohort


def landmark_file(percentiles: object, standard: object) -> str:
    return json.dumps(
        {"nyul": [{"channel": "0", "percentiles": percentiles, "standard": standard}]}
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("{}", "holds no landmarks"),
        ("[1, 2]", "holds no landmarks"),
        ('{"nyul": []}', "0 scales"),
        ('{"nyul": [{"channel": "0"}]}', "holds no landmarks"),
        (landmark_file([1, 99], [0, float("nan")]), "finite number"),
        (landmark_file([1, 99], [5, 0]), "standard of 0 must ascend"),
        (landmark_file([99, 1], [0, 5]), "percentiles must ascend"),
        (landmark_file("19", "05"), "percentiles: "),
        (landmark_file([1, 99], {"a": 1}), "standard.0: "),
        (landmark_file(np.linspace(0, 100, 2000).tolist(), list(range(2000))), "at most 1000"),
        ("[" * 100_000, "recursion"),
        (" " * (9 << 20), "too large"),
    ],
)
def test_a_file_without_usable_landmarks_is_refused(tmp_path, text, words):
    (tmp_path / "landmarks.json").write_text(text)
    with pytest.raises(ConfigError, match=f"landmarks .* cannot be used: .*{words}|{words}, not"):
        with_reference(config_of({"nyul": {"landmarks": str(tmp_path)}}))


def test_the_histogram_of_a_reference_is_read_and_written_out(tmp_path):
    array = volume(1)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([-1, -1, 2, 1.0])), tmp_path / "r.nii.gz")
    step = {"histogram_match": {"reference": str(tmp_path / "r.nii.gz"), "over": "foreground"}}
    made = with_reference(config_of(step)).image.intensity[0].step
    assert isinstance(made, HistogramMatch)
    assert (list(made.values), list(made.shares)) == cumulative(measure(array, array != 0))
    with pytest.raises(ConfigError, match="cannot be used"):
        with_reference(config_of({"histogram_match": {"reference": str(tmp_path / "none.nii")}}))
