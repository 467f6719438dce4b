"""Voxels of a device read by the host: views of any strides, corners, constants."""

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.resample import corners_of, resample_device
from gpuprep.ops.device.transfer import fetch, picked
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.grids import GridMapping

VIEWS = {
    "whole": lambda array: array,
    "turned": lambda array: array.transpose(2, 0, 1)[::-1, :, ::-1],
    "cropped": lambda array: array[1:3, 2:, 1:6],
    "cropped and turned": lambda array: array[1:3, ::-1, 1:6].transpose(1, 2, 0),
    "one slice": lambda array: array[:, 3:4],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ["?", "i2", "f4", "f8"])
def test_any_view_is_fetched(engine: Engine, view: str, kind: str) -> None:
    array = (np.random.default_rng(0).normal(0, 50, (4, 5, 7))).astype(kind)
    found = fetch(engine, VIEWS[view](engine.xp.asarray(array)))
    assert found.dtype == array.dtype
    assert (found == VIEWS[view](array)).all()


@pytest.mark.parametrize("shape", [(4, 5, 7), (1, 5, 2), (1, 1, 1)])
def test_corners_are_read_at_once(engine: Engine, shape: tuple[int, int, int]) -> None:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    ends = [sorted({0, n - 1}) for n in shape]
    found = engine.to_host(picked(engine, engine.xp.asarray(array), ends))
    assert (found == corners_of(array)).all()
    assert corners_of(array)[0, 0, 0] == 0
    assert corners_of(array)[-1, -1, -1] == array[-1, -1, -1]


@pytest.mark.parametrize("kind", ["f4", "f2", "i2"])
@pytest.mark.parametrize("chunk", [0, 4])
def test_a_constant_is_written_everywhere_but_beyond_the_grid(
    engine: Engine, kind: str, chunk: int
) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    how = Resampling(GridMapping((5, 6, 9), (0.7,) * 3), epilogue=ClipAffine(scale=0, offset=7.4))
    given = engine, engine.xp.asarray(array), how
    result = engine.to_host(resample_device(*given, dtype=kind, chunk=chunk))
    expected = resample(array, how, dtype=kind)
    if chunk:
        expected = np.pad(expected, [(0, -n % chunk) for n in expected.shape])
        result = result.transpose(0, 3, 1, 4, 2, 5).reshape(expected.shape)
    assert (result == expected).all()
