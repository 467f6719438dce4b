"""Medians of cubes on a device against NumPy's, value by value, whole and in slabs."""

import numpy as np
import pytest

import gpuprep.ops.device.median as launched
from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.median import median_device
from gpuprep.ops.median import median
from gpuprep.values.geometry import Reorientation

KINDS = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "f2", "f4", "f8")
TURNED = Reorientation((2, 0, 1), (True, False, True))


def drawn(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    """Noise around steps, with ties, and the ends of the dtype's range."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 20, shape) + np.indices(shape).sum(0) % 7 * 9
    if kind == "?":
        return noise > 20
    array = noise.astype(kind) if kind[0] != "u" else np.abs(noise).astype(kind)
    ends = np.finfo(kind) if kind[0] == "f" else np.iinfo(kind)
    extremes = [ends.min, ends.max, 0, *([-np.inf, np.inf, -0.0] if kind[0] == "f" else [])]
    where = random.random(shape) < 0.3
    array[where] = random.choice(np.array(extremes, kind), where.sum())
    return array


def assert_equal(engine: Engine, view, size: int) -> None:
    found = median_device(engine, view, size)
    assert found.dtype == view.dtype
    np.testing.assert_array_equal(engine.to_host(found), median(engine.to_host(view), size))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [3, 5])
def test_every_type(engine: Engine, kind: str, size: int) -> None:
    view = engine.xp.asarray(drawn((5, 9, 36), kind))
    assert_equal(engine, view, size)
    assert_equal(engine, TURNED.view(view), size)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 31, 32, 33, 65])
@pytest.mark.parametrize("size", [3, 5])
def test_every_length_of_every_axis(engine: Engine, length: int, size: int) -> None:
    for axis in range(3):
        shape = [3, 4, 6]
        shape[axis] = length
        assert_equal(engine, engine.xp.asarray(drawn(tuple(shape), "i2", axis)), size)


def test_more_blocks_than_a_grid_holds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launched, "MOST_GRID", 2)
    assert_equal(engine, engine.xp.asarray(drawn((9, 21, 40), "f4")), 3)


@pytest.mark.parametrize("size", [3, 5])
def test_slabs_with_their_neighbours_give_the_whole(engine: Engine, size: int) -> None:
    array, radius = drawn((11, 7, 34), "i2"), size // 2
    expected = median(array, size)
    out = engine.xp.empty(array.shape, array.dtype)
    for start, stop in ((0, 1), (1, 6), (6, 11)):
        first = max(0, start - radius)
        slab = engine.xp.asarray(array[first : stop + radius])
        part = slice(start - first, stop - first), slice(None), slice(None)
        found = median_device(engine, slab, size, part=part, out=out[start:stop])
        assert found.shape == (stop - start, *array.shape[1:])
    np.testing.assert_array_equal(engine.to_host(out), expected)
    box = slice(2, 9), slice(3, 5), slice(1, 33)
    inner = median_device(engine, engine.xp.asarray(array), size, part=box)
    np.testing.assert_array_equal(engine.to_host(inner), expected[box])


def test_what_cannot_be_ordered_is_refused(engine: Engine) -> None:
    for kind in (">i2", "c8"):
        with pytest.raises(TypeError, match="native numbers"):
            median_device(engine, np.zeros((2, 2, 2), kind), 3)
    with pytest.raises(ValueError, match="3 or 5"):
        median_device(engine, engine.xp.asarray(np.zeros((2, 2, 2))), 4)
