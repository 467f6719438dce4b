"""The tables of banded passes hold every weight where kernels look for it, and planes take the fast way."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gpuprep.ops.device.plane as plane
import gpuprep.ops.device.separable as separable
from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import AxisWeights, axis_weights
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.windows import Windows, windows_of
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.grids import GridMapping


def groups_of(windows: Windows) -> list[tuple[int, int]]:
    """The first and last input of each group of four outputs, within a window."""
    sizes, count = windows.sizes[0], windows.weights.shape[2] // 4
    begin = [0, *sizes["begin"][: count - 1].tolist()]
    return list(zip(begin, [*sizes["end"][: count - 1].tolist(), sizes["length"]], strict=True))


def matrix_of(windows: Windows, axis: AxisWeights) -> np.ndarray:
    """What the kernels multiply with: weights of inputs that exist, within their groups."""
    matrix = np.zeros((windows.blocks * windows.weights.shape[2], axis.n))
    for b, first in enumerate(windows.first):
        for g, (begin, end) in enumerate(groups_of(windows)):
            for j in range(max(begin, -first), min(end, axis.n - first)):
                rows = slice(b * windows.weights.shape[2] + 4 * g, None)
                matrix[rows][:4, first + j] = windows.weights[b, j, 4 * g : 4 * g + 4]
    return matrix


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 200),
    m=st.integers(1, 120),
    scale=st.floats(0.2, 5.0),
    offset=st.floats(-20.0, 20.0),
    kind=st.sampled_from(["nearest", "linear", "cubic"]),
    outputs=st.sampled_from([8, 12, 16]),
)
def test_windows_are_the_matrix_of_the_axis(
    n: int, m: int, scale: float, offset: float, kind: str, outputs: int
) -> None:
    axis = axis_weights(n, m, scale, offset, kind)
    windows = windows_of(axis, outputs)
    expected = np.zeros((windows.blocks * outputs, n))
    rows = np.arange(m)[:, None]
    expected[rows, axis.start[:, None] + np.arange(axis.weights.shape[1])] = axis.weights
    assert np.abs(matrix_of(windows, axis) - expected).max() < 1e-7
    assert (np.abs(matrix_of(windows, axis) - expected).sum(axis=1) < 1e-6).all()
    begins, ends = zip(*groups_of(windows), strict=True)
    assert list(begins) == sorted(begins)
    assert list(ends) == sorted(ends)
    assert begins[-1] <= ends[0]


def test_groups_of_the_usual_axis_skip_what_they_do_not_need() -> None:
    windows = windows_of(axis_weights(512, 267, 512 / 267, 0.46, "cubic"), 16)
    assert sum(end - begin for begin, end in groups_of(windows)) <= 4 * 33
    assert windows.weights.shape[1] < 60


PLANES = {
    "as it is": (lambda array: array, True),
    "columns backwards": (lambda array: array[:, :, ::-1], True),
    "rows backwards": (lambda array: array[:, ::-1], True),
    "a crop": (lambda array: array[1:, 3:, 5:], True),
    "every other column": (lambda array: array[:, :, ::2], False),
    "few columns": (lambda array: array[:, :, :127], False),
}


@pytest.mark.parametrize("view", PLANES)
@pytest.mark.parametrize("kind", ["i2", "f4", "i4"])
@pytest.mark.parametrize(
    "prologue", [ClipAffine(), ClipAffine(80, 130, 1.5, 3)], ids=["shift", "step"]
)
def test_planes_are_resampled_by_one_kernel_where_they_fit(
    engine: Engine, view: str, kind: str, prologue: ClipAffine
) -> None:
    turned, fits = PLANES[view]
    array = np.random.default_rng(0).normal(100, 30, (4, 45, 270)).astype(kind)
    mapping = GridMapping((3, 25, 150), (1.3, 1.7, 1.8), (0.2, -0.3, 0.4))
    how = Resampling(mapping, "cubic", prologue=prologue)
    with patch.object(separable, "plane_pass", wraps=separable.plane_pass) as fused:
        result = engine.to_host(resample_device(engine, turned(engine.xp.asarray(array)), how))
    assert fused.called == fits
    assert np.abs(result - resample(turned(array), how)).max() < 2e-6 * 250


def test_more_slices_than_a_grid_has_are_done_in_turns(engine: Engine) -> None:
    array = np.random.default_rng(1).normal(0, 30, (5, 20, 130)).astype("f4")
    how = Resampling(GridMapping((4, 11, 70), (1.2, 1.7, 1.8)), "cubic")
    whole = engine.to_host(resample_device(engine, engine.xp.asarray(array), how))
    with patch.object(plane, "MOST_GRID", 2):
        parts = engine.to_host(resample_device(engine, engine.xp.asarray(array), how))
    assert (parts == whole).all()
