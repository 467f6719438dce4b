"""NaN and ±Inf are outside of foreground, boxes and statistics, on both engines."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from support.in_memory import Files, computed, config_of, put_together

from gpuprep.ops.operations import HostOperations
from gpuprep.preprocess.measure import Measured, measure
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry

MASKED = {"outside": "zero", "fill_holes": False}


def case_of(files: Files, channels: tuple[np.ndarray, ...], label: np.ndarray | None) -> Case:
    sources = tuple(files.add(f"{k}.nii", channel) for k, channel in enumerate(channels))
    labels = () if label is None else (LabelSource((files.add("label", label),)),)
    return Case("a", sources, labels)


def measured(image: dict, *channels: np.ndarray, label: np.ndarray | None = None) -> Measured:
    files, config = Files(), config_of({"image": image})
    case = case_of(files, channels, label)
    assembled, _ = put_together(files, case, config)
    task = CaseTask(case, "", "")
    return measure(task, assembled, config, HostOperations(), Findings(), Stopwatch())


def stored(image: dict, *channels: np.ndarray) -> np.ndarray:
    files = Files()
    done, _ = computed(files, case_of(files, channels, None), config_of({"image": image}))
    return np.asarray(done.image)


def twins(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A block of tissue in a background of NaN, and the same in one of zeros."""
    values = np.random.default_rng(seed).normal(500, 80, (20, 20, 20)).astype("f4")
    outside = np.ones(values.shape, bool)
    outside[5:15, 5:15, 5:15] = False
    return np.where(outside, np.nan, values), np.where(outside, 0, values)


@pytest.mark.parametrize("to", ["nonzero", "body"])
@pytest.mark.parametrize("fill", [False, True])
def test_a_background_of_nan_is_one_of_zeros(to: str, fill: bool) -> None:
    rules = {"crop": {"to": to}, "foreground": {"where": to, "threshold": 5, "fill_holes": fill}}
    nan, zero = (measured(rules, volume) for volume in twins())
    assert nan.box == zero.box == (slice(5, 15),) * 3
    rules["crop"] = {"to": "none"}
    nan, zero = (measured(rules, volume) for volume in twins())
    np.testing.assert_array_equal(nan.foreground.host, zero.foreground.host)
    ours, theirs = (each.foreground_of(0, Findings()) for each in (nan, zero))
    assert ours.summary() == theirs.summary()
    assert (nan.distributions[0].nan, ours.nan) == (7000, 0)


def test_masked_z_scores_of_the_twins_are_the_same_voxels() -> None:
    rules = {"intensity": [{"zscore": {"over": "foreground"}}], "foreground": MASKED}
    rules["resample"] = {"spacing": 1.3}
    nan, zero = (stored(rules, volume) for volume in twins())
    np.testing.assert_array_equal(nan, zero)
    rules["resample"] = {}
    assert (stored(rules, twins()[0])[0] == 0).all()


def test_what_is_kept_outside_is_the_smallest_voxel() -> None:
    volume, _ = twins()
    volume[0, 0, 0] = np.inf
    result = stored({"foreground": {"outside": "keep"}}, volume)
    assert result[0, 0, 1] == np.nanmin(volume[1:])
    assert result[0, 0, 0] == np.nanmax(volume[1:])
    assert np.isfinite(result).all()


@settings(max_examples=60)
@given(
    st.integers(1, 3), st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 2**32 - 1), st.booleans()
)
def test_channels_are_measured_by_their_finite_voxels(count, shape, seed, by_label) -> None:
    random = np.random.default_rng(seed)
    choice = [0, 0, 0, 1, 7.5, -3, np.nan, np.inf, -np.inf]
    volumes = [random.choice(choice, shape).astype("f4") for _ in range(count)]
    for volume in volumes:
        volume[0, 0, 0] = 2
    label = random.integers(0, 2, shape, np.uint8) if by_label else None
    where = "label" if by_label else "nonzero"
    rules = {"foreground": {"where": where}}
    found = measured(rules, *volumes, label=label)
    finite = [np.isfinite(volume) for volume in volumes]
    inside = np.any([f & (v != 0) for f, v in zip(finite, volumes, strict=True)], axis=0)
    inside = inside if label is None else label > 0
    np.testing.assert_array_equal(found.foreground.host, inside)
    for number, volume in enumerate(volumes):
        values = found.foreground_of(number, Findings())
        counted = volume[inside & finite[number]].astype(np.float64)
        absent = inside & ~finite[number]
        assert values.count == counted.size
        assert values.nan + values.inf == absent.sum()
        if counted.size:
            assert values.percentiles([0, 50, 100]) == np.percentile(counted, [0, 50, 100]).tolist()
            assert values.moments() == pytest.approx((counted.mean(), counted.std()), abs=1e-12)
    zeroed = stored({"foreground": {"outside": "zero"}}, *volumes).reshape(count, *shape)
    by_value = np.any([f & (v != 0) for f, v in zip(finite, volumes, strict=True)], axis=0)
    for result, volume, known in zip(zeroed, volumes, finite, strict=True):
        np.testing.assert_array_equal(result, np.where(known & by_value, volume, 0))


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_a_channel_that_is_brought_over_keeps_its_background(interpolation: str) -> None:
    """NaN becomes NaN where the nearest voxel is, in SimpleITK's eyes, and nothing else does."""
    files, turned = Files(), Geometry((20, 20, 20), (1.1, 0.9, 1.0), (0.3, -0.4, 0.2))
    nan, _ = twins()
    nan[7, 7, 7] = np.inf
    files.add(
        "0", np.ones((20, 20, 20), np.int16), grid=Geometry((20, 20, 20), origin=(0.1, 0.0, 0.0))
    )
    files.add("1", nan, grid=turned)
    rules = {"image": {"resample": {"interpolation": interpolation}}}
    rules["input"] = {"policy": {"E_SHAPE_MISMATCH": "fix"}}
    case = Case("a", (Source("0"), Source("1")))
    _, channel = put_together(files, case, config_of(rules))[0].channels
    marks = sitk.GetImageFromArray(np.isfinite(nan).astype(np.uint8) + 1)
    marks.SetSpacing(turned.spacing)
    marks.SetOrigin(turned.origin)
    grid = sitk.Image([20, 20, 20], sitk.sitkUInt8)
    grid.SetOrigin((0.1, 0, 0))
    seen = sitk.GetArrayFromImage(
        sitk.Resample(marks, grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    )
    np.testing.assert_array_equal(np.isnan(channel), seen == 1)
    finite = nan[np.isfinite(nan)]
    assert finite.min() <= np.nanmin(channel) <= np.nanmax(channel) <= finite.max()


def test_a_channel_without_a_finite_voxel_is_refused() -> None:
    volume = np.full((3, 4, 5), np.nan, "f4")
    with pytest.raises(InputError, match=r"channel .* has no finite voxel"):
        measured({"crop": {"to": "nonzero"}}, volume)


def test_nothing_of_it_is_written_into_the_source() -> None:
    volume, _ = twins()
    before = volume.copy()
    stored({"foreground": MASKED}, volume)
    stored({}, volume)
    np.testing.assert_array_equal(volume, before)
