"""N4 against ITK's own at full resolution, and against a field that is known."""

import math
from itertools import count

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.ops.bias import BiasRule, find_bias
from gpuprep.ops.running import deviation_as_itk


def phantom(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three tissues under a smooth field with noise, where there is tissue, and the field."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    radius = np.sqrt((x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.75) ** 2)
    tissue = np.where(radius < 0.85, 900.0, 600.0) * (radius < 1)
    tissue[(np.abs(x) < 0.25) & (np.abs(y) < 0.3) & (np.abs(z) < 0.2)] = 300
    field = np.exp(0.25 * x + 0.15 * y * z - 0.2 * z * z)
    noise = np.random.default_rng(0).normal(0, 15, shape)
    image = np.clip(tissue * field + noise * (tissue > 0), 0, None).astype(np.float32)
    return image, (image > 0).astype(np.uint8), field


def by_itk(image: np.ndarray, mask: np.ndarray, rule: BiasRule) -> np.ndarray:
    work = sitk.N4BiasFieldCorrectionImageFilter()
    work.SetNumberOfThreads(1)
    work.SetMaximumNumberOfIterations(rule.iterations)
    work.SetConvergenceThreshold(rule.threshold)
    volume = sitk.GetImageFromArray(image)
    work.Execute(volume, sitk.GetImageFromArray(mask))
    return np.exp(sitk.GetArrayFromImage(work.GetLogBiasFieldAsImage(volume)))


@pytest.mark.parametrize(
    ("rule", "tolerance"),
    [
        (BiasRule(iterations=(4,), threshold=0.0), 2e-6),
        (BiasRule(iterations=(4, 4, 4), threshold=0.0), 2e-5),
        (BiasRule(), 2e-5),
    ],
    ids=["one level", "three levels", "ITK's defaults"],
)
def test_the_field_is_that_of_itk_at_full_resolution(rule: BiasRule, tolerance: float) -> None:
    image, mask, _ = phantom((30, 41, 36))
    ours, theirs = find_bias(image, mask, rule).factor(), by_itk(image, mask, rule)
    inside = mask != 0
    assert np.abs(ours / theirs - 1)[inside].max() < tolerance
    corrected = image / theirs
    assert np.abs(image / ours - corrected)[inside].max() < tolerance * np.ptp(corrected)


@pytest.mark.slow
def test_as_many_iterations_are_done_as_by_itk_where_its_mean_stands_still() -> None:
    image, mask, _ = phantom((72, 80, 76))
    work = sitk.N4BiasFieldCorrectionImageFilter()
    measured = []
    work.AddCommand(
        sitk.sitkIterationEvent,
        lambda: measured.append((work.GetCurrentLevel(), work.GetCurrentConvergenceMeasurement())),
    )
    theirs = sitk.GetArrayFromImage(
        work.Execute(sitk.GetImageFromArray(image), sitk.GetImageFromArray(mask))
    )
    found, inside = find_bias(image, mask), mask != 0
    each = [[change for at, change in measured if at == level] for level in range(4)]
    assert found.iterations == tuple(map(len, each))
    assert abs(image / found.factor() - theirs)[inside].max() < 1e-5 * np.ptp(theirs[inside])


def test_a_deviation_is_measured_as_one_value_after_the_other_in_float32() -> None:
    random, number = np.random.default_rng(5), 150_000
    slow = np.sin(np.linspace(0, 60, number))
    values = np.exp(8e-4 + 8e-4 * slow + 4e-4 * random.normal(size=number)).astype(np.float32)
    mean = total = np.float32(0)
    for known, value in enumerate(values):
        total = np.float32(float(total) + float(value - mean) ** 2 * known / (known + 1))
        mean = np.float32(
            float(mean) * (1 - 1 / (known + 1)) + float(value / np.float32(known + 1))
        )
    expected = math.sqrt(float(total) / (number - 1)) / float(mean)
    assert deviation_as_itk(values) == pytest.approx(expected, rel=1e-4)
    assert abs(values.std() / values.mean() / expected - 1) > 1e-3  # which it is not without
    few = values[:100]
    assert deviation_as_itk(few) == pytest.approx(few.std(ddof=1) / few.mean(), rel=1e-3)


@pytest.mark.parametrize("shrink", [1, 2])
def test_a_known_field_is_found(shrink: int) -> None:
    image, mask, field = phantom((40, 48, 44))
    found = find_bias(image, mask, BiasRule((shrink,) * 3))
    inside = mask != 0
    left = (found.factor() / field)[inside]
    before = field[inside]
    assert left.std() / left.mean() < 0.2 * before.std() / before.mean()
    assert len(found.iterations) == 4
    assert min(found.iterations) >= 1


def test_the_same_volume_gives_the_same_numbers_whatever_surrounds_the_mask() -> None:
    image, mask, _ = phantom((24, 24, 24))
    rule = BiasRule(iterations=(5, 5))
    one = find_bias(image, mask, rule).lattice
    spoilt = np.where(mask, image, np.float32(np.nan))
    spoilt[0, 0, 0] = np.inf
    wider = mask.copy()
    wider[0] = 1  # nothing positive and finite is there
    np.testing.assert_array_equal(one, find_bias(spoilt, wider, rule).lattice)


def test_it_can_be_ended_before_any_iteration() -> None:
    image, mask, _ = phantom((20, 20, 20))
    calls = count(1)

    def go_on() -> None:
        if next(calls) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        find_bias(image, mask, go_on=go_on)
    assert next(calls) == 4


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_nothing_to_tell_apart_is_refused(value: float) -> None:
    flat = np.full((6, 6, 6), value)
    with pytest.raises(ValueError, match="no two positive values"):
        find_bias(flat, np.ones_like(flat))
