"""``image.filters``: filtered voxels are measured and stored, in the config's order, against SciPy."""

import numpy as np
import pytest
from scipy import ndimage
from support.in_memory import Files, computed, config_of

from gpuprep.config.model import Config
from gpuprep.preprocess.projection import footprint
from gpuprep.values.case import Case
from gpuprep.values.errors import ConfigError
from gpuprep.values.geometry import Geometry

RANDOM = np.random.default_rng(5)
CT = RANDOM.integers(-1000, 1500, (9, 12, 14)).astype(np.int16)
GRID = Geometry(CT.shape, spacing=(0.8, 1.0, 2.5))
MEDIAN, GAUSSIAN = {"median": {"size": 3}}, {"gaussian": {"sigma": 1.2}}


def config_with(filters: list, **image) -> Config:
    return config_of({"image": {"orientation": "keep", "filters": filters, **image}})


def stored(config: Config, *arrays: np.ndarray):
    files = Files()
    sources = [files.add(f"{k}.nii", array, grid=GRID) for k, array in enumerate(arrays or (CT,))]
    return computed(files, Case("c", tuple(sources), ()), config)[0]


def smooth(array: np.ndarray, sigmas=(1.2 / 2.5, 1.2, 1.5)) -> np.ndarray:
    return ndimage.gaussian_filter(array.astype(np.float64), sigmas, mode="nearest")


def middle(array: np.ndarray, size: int = 3) -> np.ndarray:
    return ndimage.median_filter(array, size, mode="nearest")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([GAUSSIAN], smooth(CT)),
        ([{"gaussian": {"sigma": [0.8, 0, 5]}}], smooth(CT, (2, 0, 1))),
        ([MEDIAN], middle(CT)),
        ([{"median": {"size": 5}}], middle(CT, 5)),
        ([MEDIAN, GAUSSIAN], smooth(middle(CT))),
        ([GAUSSIAN, MEDIAN], middle(smooth(CT))),
        ([], CT),
    ],
)
def test_filters_are_scipys_in_their_order(filters: list, expected: np.ndarray) -> None:
    done = stored(config_with(filters))
    np.testing.assert_allclose(np.asarray(done.image), expected, atol=2e-6 * np.ptp(CT))
    assert done.record.get("filters", [[]])[0] == filters


def test_what_is_measured_is_filtered() -> None:
    done = stored(config_with([MEDIAN], intensity=[{"rescale": {"to": [0, 1]}}]))
    expected = middle(CT).astype(np.float64)
    expected = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(np.asarray(done.image), expected, atol=1e-6)
    assert done.record["statistics"][0]["max"] == middle(CT).max()


def test_the_crop_comes_first_and_foreground_is_that_of_the_file() -> None:
    array = np.zeros_like(CT)
    array[2:7, 3:10, 2:12] = np.abs(CT[2:7, 3:10, 2:12]) + 1
    step = {"zscore": {"over": "foreground"}}
    image = {"crop": {"to": "nonzero", "margin": 1.0}, "intensity": [step]}
    done = stored(config_with([GAUSSIAN], **image), array)
    cut = array[1:8, 2:11, 0:14]
    assert np.asarray(done.image).shape == cut.shape
    expected = smooth(cut)
    inside = expected[cut != 0]
    expected = (expected - inside.mean()) / inside.std()
    np.testing.assert_allclose(np.asarray(done.image), expected, atol=1e-5)


def test_a_channel_has_its_own_filters_or_none() -> None:
    config = config_with([MEDIAN], channels={"1": {"filters": []}, "2": {"filters": [GAUSSIAN]}})
    done = stored(config, CT, CT, CT)
    expected = [middle(CT), CT, smooth(CT)]
    np.testing.assert_allclose(np.asarray(done.image), expected, atol=2e-6 * np.ptp(CT))
    assert [[*map(tuple, each)] for each in done.record["filters"]] == [
        [("median",)],
        [],
        [("gaussian",)],
    ]


@pytest.mark.parametrize("name", ["median", "gaussian"])
def test_what_is_not_finite_is_counted_and_goes_no_further(name: str) -> None:
    array = CT.astype(np.float32)
    array[4, 5, 6], array[1, 2, 3], array[7, 8, 9] = np.nan, np.inf, -np.inf
    low, high = CT.min(), CT.max()
    array[0, 0, :2] = low, high
    filled = np.nan_to_num(array, nan=low, posinf=high, neginf=low)
    expected = {"median": middle, "gaussian": smooth}[name](filled)
    done = stored(config_with([{"median": MEDIAN, "gaussian": GAUSSIAN}[name]]), array)
    finite = np.isfinite(array)
    found = np.asarray(done.image)
    np.testing.assert_allclose(found[finite], expected[finite], atol=2e-6 * np.ptp(CT))
    assert np.isfinite(found).all()
    statistics = done.record["statistics"][0]
    assert (statistics["nan"], statistics["inf"]) == (1, 2)


def test_a_config_without_filters_keeps_its_digest() -> None:
    plain = config_of({"image": {"orientation": "keep"}})
    assert config_with([]).digest == plain.digest != config_with([MEDIAN]).digest


def test_memory_is_counted() -> None:
    plain, filtered = (footprint(CT.nbytes, GRID, 2, config_with(each)) for each in ([], [MEDIAN]))
    assert filtered.results >= plain.results + 2 * 4 * CT.size
    assert filtered.working > plain.working


@pytest.mark.parametrize(
    "image",
    [
        {"filters": [{"median": {"size": 4}}]},
        {"filters": [{"median": {}, "gaussian": {"sigma": 1}}]},
        {"filters": [{}]},
        {"filters": [{"gaussian": {"sigma": 0}}]},
        {"filters": [{"gaussian": {"sigma": -1}}]},
    ],
)
def test_filters_that_mean_nothing_are_refused(image: dict) -> None:
    with pytest.raises(ConfigError):
        config_of({"image": image})


def test_an_output_has_no_filters_of_its_own() -> None:
    with pytest.raises(ConfigError, match="filters come before outputs part"):
        config_of({"outputs": {"a": {"channels": {"0": {"filters": [MEDIAN]}}}}})
