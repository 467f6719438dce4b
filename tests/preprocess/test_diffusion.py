"""Curvature diffusion: SimpleITK's own result with spacing, at any number of threads, and its time-out."""

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.preprocess.diffusion import curvature_diffusion, longest_step
from gpuprep.values.errors import CaseError


def noisy() -> np.ndarray:
    volume = np.random.default_rng(0).normal(0, 20, (14, 18, 22))
    volume[:, :, 11:] += 400
    return volume.astype(np.float32)


def test_it_is_what_simpleitk_makes_and_threads_do_not_matter() -> None:
    image = sitk.GetImageFromArray(noisy())
    image.SetSpacing((0.8, 0.9, 2.5))
    expected = sitk.GetArrayFromImage(
        sitk.CurvatureAnisotropicDiffusion(
            image, timeStep=0.05, conductanceParameter=2.0, numberOfIterations=4
        )
    )
    for threads in (1, 2):
        found = curvature_diffusion(
            noisy(), (2.5, 0.9, 0.8), iterations=4, conductance=2.0, threads=threads
        )
        np.testing.assert_array_equal(found, expected)


def test_noise_goes_and_the_edge_stays() -> None:
    before, after = noisy(), curvature_diffusion(noisy(), (1.0, 1.0, 1.0), iterations=10)
    assert after[:, :, :9].std() < 0.5 * before[:, :, :9].std()
    assert np.diff(after.mean(axis=(0, 1)))[10] > 350


def test_the_step_is_stable_on_fine_grids() -> None:
    assert longest_step((2.5, 0.9, 0.8)) == pytest.approx(0.05)


def test_it_ends_after_its_seconds() -> None:
    with pytest.raises(CaseError, match="longer than 0 s"):
        curvature_diffusion(noisy(), (1.0, 1.0, 1.0), iterations=50, seconds=0.0)
