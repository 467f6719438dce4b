"""N4 against ITK's own at full resolution, and against a field that is known."""

from itertools import count

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.ops.bias import BiasRule, find_bias


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
        (BiasRule(), 1e-3),
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
