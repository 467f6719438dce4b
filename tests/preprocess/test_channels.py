"""``image.channels``: single channels done otherwise, against NumPy; names no channel has are refused."""

import numpy as np
import pytest
from support.in_memory import Files, computed, config_of, put_together

from gpuprep.cohort.discover import Found
from gpuprep.config.model import Config
from gpuprep.planning.agreement import settle
from gpuprep.preprocess.channels import places
from gpuprep.values.case import Case
from gpuprep.values.errors import ConfigError, InputError, ValueRangeError

SHAPE = (7, 8, 9)
RANDOM = np.random.default_rng(11)
CT = RANDOM.integers(-1200, 1500, SHAPE).astype(np.int16)
MR = (RANDOM.integers(0, 900, SHAPE) * (RANDOM.random(SHAPE) < 0.6)).astype(np.uint16)
PET = RANDOM.normal(3, 2, SHAPE).astype(np.float32)
CT[:3], MR[:3], PET[:3] = 0, 0, 0
ARRAYS = {"CT": CT, "MR": MR, "PET": PET}
INSIDE = np.any([array != 0 for array in ARRAYS.values()], 0)
UNIT = [{"clip": {"low": -1000, "high": 400}}, {"rescale": {"to": [0, 1]}}]
MASKED = {"intensity": [{"zscore": {"over": "foreground"}}], "outside": "zero"}


def files_and_case(*names: str) -> tuple[Files, Case]:
    files = Files()
    images = tuple(files.add(f"{k}.nii", array) for k, array in enumerate(ARRAYS.values()))
    return files, Case("c", images, (), channels=names)


def image_of(config: Config, *names: str) -> np.ndarray:
    return np.asarray(computed(*files_and_case(*(names or tuple(ARRAYS))), config)[0].image)


def with_channels(channels: dict, **image) -> Config:
    return config_of({"image": {"orientation": "keep", "channels": channels, **image}})


def unit(array: np.ndarray) -> np.ndarray:
    return (np.clip(array.astype(np.float64), -1000, 400) + 1000) / 1400


def masked(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    return np.where(INSIDE, (values - values[INSIDE].mean()) / values[INSIDE].std(), 0)


def test_each_channel_has_its_own_steps_and_outside() -> None:
    config = with_channels(
        {"CT": {"intensity": UNIT}, "MR": MASKED}, intensity=[{"multiply": {"by": 2}}]
    )
    expected = [unit(CT), masked(MR), PET.astype(np.float64) * 2]
    np.testing.assert_allclose(image_of(config), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("outside", ["keep", "zero"])
def test_a_channel_may_keep_or_zero_whatever_the_others_do(outside: str) -> None:
    other = {"keep": "zero", "zero": "keep"}[outside]
    chain = [{"zscore": {"over": "foreground"}}]
    config = with_channels(
        {"PET": {"outside": outside}}, intensity=chain, foreground={"outside": other}
    )
    image = image_of(config)
    assert [bool((channel[:3] == 0).all()) for channel in image] == [
        each == "zero" for each in (other, other, outside)
    ]


def test_an_empty_chain_is_one_of_its_own() -> None:
    config = with_channels({"MR": {"intensity": []}}, intensity=UNIT)
    np.testing.assert_array_equal(image_of(config)[1], MR)


@pytest.mark.parametrize("names", [("T1", "T1", "T2"), ()])
def test_repeated_and_unnamed_channels_go_by_number(names: tuple[str, ...]) -> None:
    files, case = files_and_case(*names)
    config = with_channels({"1": MASKED, "0": {"intensity": UNIT}})
    image = np.asarray(computed(files, case, config)[0].image)
    np.testing.assert_allclose(image[:2], [unit(CT), masked(MR)], rtol=1e-5, atol=1e-6)


def test_a_name_comes_before_a_number() -> None:
    assert places(["0", "x"], ["x", "0"]) == {"0": 1, "x": 0}


@pytest.mark.parametrize(
    ("keys", "names", "told"),
    [
        (["PETT"], ["CT", "PET"], "names PETT, and the channels are CT, PET"),
        (["2"], ["CT", "PET"], "names 2, and the channels are CT, PET"),
        (["²"], ["CT", "PET", "MR"], "names ²"),
        (["T1"], ["T1", "T2", "T1"], "2 of the channels T1, T2, T1 are called so"),
        (["CT", "0"], ["CT", "PET"], "names channel 0 twice, as CT and as 0"),
    ],
)
def test_what_no_channel_is_is_refused(keys, names, told) -> None:
    with pytest.raises(ConfigError, match=r"image\.channels") as caught:
        places(keys, names)
    assert told in caught.value.message
    assert caught.value.advice


def test_a_case_without_the_channel_fails_and_names_those_it_has() -> None:
    with pytest.raises(InputError, match=r"E_CHANNELS: .*PETT, and the channels are CT, MR, PET"):
        image_of(with_channels({"PETT": {"outside": "zero"}}))


@pytest.mark.parametrize("within", ["image", "outputs"])
def test_a_run_is_refused_before_its_first_case(within: str) -> None:
    _, case = files_and_case("CT", "PET", "MR")
    rules = {"SPECT": {"outside": "zero"}}
    tree = {"image": {"channels": rules}}
    config = Config.model_validate(
        tree if within == "image" else {"outputs": {"a": {"channels": rules}}}
    )
    found = Found("nnunet", (case,))
    with pytest.raises(ConfigError, match="SPECT, and the channels are CT, PET, MR"):
        settle(found, None, config)


def test_every_channel_is_held_against_the_dtype() -> None:
    config = with_channels({"MR": {"intensity": [{"multiply": {"by": 1e6}}]}})
    tree = config.model_copy(update={"store": config.store.model_copy(update={"dtype": "float16"})})
    with pytest.raises(ValueRangeError, match="values of MR reach"):
        image_of(tree)


def test_the_record_tells_it_of_each_channel() -> None:
    case, _ = computed(*files_and_case(*ARRAYS), with_channels({"MR": MASKED}))
    assert [row["outside"] for row in case.record["intensity"]] == ["keep", "zero", "keep"]
    assert case.record["intensity"][0]["scale"] == 1
    assert case.record["intensity"][1]["scale"] == pytest.approx(1 / MR[INSIDE].std())
    told = ["after_mean" in row for row in case.record["statistics"]]
    assert told == [True, False, True]


def test_a_step_of_one_channel_over_the_cohort_needs_a_pass_over_it() -> None:
    steps = [{"zscore": {"over": "cohort"}}]
    assert with_channels({"MR": {"intensity": steps}}).needs_cohort
    assert not with_channels({"MR": MASKED}).needs_cohort


def test_a_channel_that_needs_the_label_makes_it_needed() -> None:
    config = with_channels({"MR": MASKED}, foreground={"where": "label"})
    with pytest.raises(InputError, match="E_LABEL_MISSING"):
        put_together(*files_and_case(*ARRAYS), config)


def test_values_beyond_those_that_the_steps_are_meant_for_fail_the_case() -> None:
    held = with_channels({"MR": {"within": [0, 899]}})
    np.testing.assert_array_equal(image_of(held)[1], MR)
    with pytest.raises(
        ValueRangeError, match=f"channel CT holds values from {CT.min()} to {CT.max()}"
    ):
        image_of(with_channels({"CT": {"within": [-1024, 3071]}}))
    with pytest.raises(ConfigError, match="give the lower one first"):
        with_channels({"CT": {"within": [255, 0]}})
