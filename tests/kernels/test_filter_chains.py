"""Filters on a device against NumPy's: every type, order and length, chains, and what is not finite."""

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.filters import filter_device
from gpuprep.ops.filters import Equalizing, Filter, Ranking, Smoothing, filtered, result_dtype
from gpuprep.values.geometry import Reorientation
from kernels.test_resample import KINDS, TOLERANCE, along, voxels

TURNED = Reorientation((2, 0, 1), (True, False, True))
SMOOTH = Smoothing((0.6, 1.2, 2.5))
EQUAL = Equalizing((4, 5, 50), 0.02, 200)
STEPS: list[Filter] = [SMOOTH, Ranking(3), EQUAL]


def wanted(array: np.ndarray, steps: list[Filter]) -> np.ndarray:
    for step in steps:
        array = filtered(array, step, np.empty(array.shape, result_dtype(step, array.dtype)))
    return array


def assert_equal(engine: Engine, array: np.ndarray, steps: list[Filter]) -> None:
    for turned in (False, True):
        given = engine.xp.asarray(array)
        given, host = (TURNED.view(each) if turned else each for each in (given, array))
        found, expected = filter_device(engine, given, steps), wanted(host, steps)
        assert found.flags.c_contiguous
        if array.dtype != np.bool_:
            assert found.dtype == expected.dtype
        difference = np.abs(engine.to_host(found).astype(np.float64) - expected)
        smooth = any(isinstance(step, Smoothing) for step in steps)
        assert difference.max() <= TOLERANCE * np.ptp(expected.astype(np.float64)) * smooth


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_every_type_and_order(engine: Engine, step: Filter, kind: str) -> None:
    assert_equal(engine, voxels((6, 9, 133), kind), [step])


def test_chains(engine: Engine) -> None:
    for steps in ([Ranking(3), EQUAL, SMOOTH], [EQUAL, Ranking(3)], [SMOOTH, SMOOTH]):
        assert_equal(engine, voxels((6, 9, 133)), steps)


@pytest.mark.parametrize("size", [1, 2, 3, 33, 257])
def test_a_gaussian_along_every_axis_of_every_length(engine: Engine, size: int) -> None:
    for axis in range(3):
        array = voxels(along(axis, size))
        for sigma in (0.1, 0.5, 3.0, 40.0):  # from one that does nothing to one beyond the axis
            z, y, x = (sigma if each == axis else 0.0 for each in range(3))
            assert_equal(engine, array, [Smoothing((z, y, x))])
            assert_equal(engine, array, [Smoothing((0.7 if z == 0 else z, y, x))])


def test_a_background_stays_what_it_is(engine: Engine) -> None:
    array = np.full((9, 20, 40), -1000, np.int16)
    array[3:6, 7:12, 15:25] = 731
    found = engine.to_host(filter_device(engine, engine.xp.asarray(array), [Smoothing((1, 1, 1))]))
    assert (found[:, 0] == -1000).all()
    assert found.max() > 0
    same = engine.xp.asarray(np.full((3, 4, 5), 12345.678, np.float32))
    assert (engine.to_host(filter_device(engine, same, [SMOOTH])) == np.float32(12345.678)).all()


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_what_is_not_finite_stays_and_is_an_end_to_its_neighbours(
    engine: Engine, step: Filter, kind: str
) -> None:
    array = voxels((6, 9, 40), kind)
    low, high = array.min(), array.max()
    array[2, 3, 4:8] = np.nan, np.inf, -np.inf, -np.nan
    broken = ~np.isfinite(array)
    filled = np.nan_to_num(array, nan=low, posinf=high, neginf=low)
    for turned in (False, True):
        view = TURNED.view(array) if turned else array
        given = engine.xp.asarray(view)
        found = engine.to_host(filter_device(engine, given, [step]))
        inside = TURNED.view(broken) if turned else broken
        np.testing.assert_array_equal(found[inside], view[inside])
        expected = wanted(TURNED.view(filled) if turned else filled, [step])
        off = np.abs(found[~inside].astype(np.float64) - expected[~inside])
        assert off.max() <= TOLERANCE * np.ptp(expected) * isinstance(step, Smoothing)
        assert (engine.to_host(given)[~inside] == view[~inside]).all()


def test_a_volume_of_nothing_finite_and_one_of_one_value(engine: Engine) -> None:
    nothing = engine.xp.asarray(np.full((2, 3, 4), np.nan, np.float32))
    assert filter_device(engine, nothing, [SMOOTH]) is nothing
    flat = engine.xp.asarray(np.full((2, 3, 4), 7, np.int16))
    found = engine.to_host(filter_device(engine, flat, [Equalizing((1, 1, 2), 0.01, 256)]))
    assert found.dtype == np.float32
    assert not found.any()
