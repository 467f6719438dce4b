"""The resampling kernels against the NumPy engine."""

from typing import Any

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.pointwise import IDENTITY, ClipAffine, affine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.grids import GridMapping

SIZES = (1, 2, 3, 31, 32, 33, 255, 256, 257)
KINDS = ("?", "i1", "u1", "i2", "u2", "i4", "f4", "f8")
TOLERANCE = 2e-6  # of the range of the values that are mixed


def voxels(shape: tuple[int, ...], kind: str = "i2", seed: int = 0) -> np.ndarray:
    """Edges and noise over most of the dtype's range; a CT's range for wide integers and floats."""
    random = np.random.default_rng(seed)
    low, high = {"i1": (-128, 127), "u1": (0, 255), "?": (0, 1)}.get(kind, (0, 4000))
    steps = np.add.outer(
        np.add.outer(*[np.arange(n) // 5 for n in shape[:2]]), np.arange(shape[2]) // 3
    )
    edges = np.where(steps % 2 == 0, low, high)
    noisy = edges + random.normal(0, (high - low) / 20, shape)
    return np.clip(noisy, low, high).astype(kind)


def along(axis: int, size: int, others: tuple[int, int] = (5, 7)) -> tuple[int, int, int]:
    shape = list(others)
    shape.insert(axis, size)
    return shape[0], shape[1], shape[2]


def assert_equal(engine: Engine, view: Any, how: Resampling, dtype: str = "f4") -> None:
    """The kernels' result on an engine's array is the NumPy engine's."""
    expected = resample(engine.to_host(view), how, dtype=dtype)
    result = engine.to_host(resample_device(engine, view, how, dtype=dtype))
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    values = engine.to_host(view).astype(np.float64)
    low, high = how.prologue.then(how.epilogue).bounds(values.min(), values.max())
    allowed = TOLERANCE * (high - low)
    if expected.dtype == np.float16:  # a rounding that falls the other way
        allowed += float(np.spacing(np.float16(max(abs(low), abs(high)))))
    if expected.dtype == np.int16:
        allowed += 1.0
    difference = np.abs(result.astype(np.float64) - expected.astype(np.float64))
    assert difference.max() <= allowed
    if expected.dtype == np.int16:
        assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_every_length_of_every_axis(engine: Engine, interpolation: str, size: int) -> None:
    for axis in range(3):
        shape = along(axis, size)
        array = engine.xp.asarray(voxels(shape))
        for m in (1, max(1, size // 2), size + size // 3 + 1):
            scale = size / m
            offset = (scale - 1) / 2
            scales, offsets = along(axis, scale, (1.3, 0.8)), along(axis, offset, (-0.4, 0.3))
            mapping = GridMapping(along(axis, m, (4, 9)), scales, offsets)
            assert_equal(engine, array, Resampling(mapping, interpolation))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "i2"])
def test_every_type_with_steps(engine: Engine, kind: str, interpolation: str, dtype: str) -> None:
    array = voxels((9, 14, 37), kind)
    high = float(array.max())
    prologue = ClipAffine(0.1 * high, 0.9 * high, 1.5, -20)
    ends = prologue.bounds()
    first, last = (-700, 900) if dtype == "i2" else (-1, 1)
    scale = (last - first) / (ends[1] - ends[0])
    epilogue = ClipAffine(*ends, scale, first - ends[0] * scale)
    mapping = GridMapping((7, 19, 20), (1.3, 0.7, 1.9), (0.2, 0.1, -0.3))
    steps = {"prologue": prologue, "epilogue": epilogue, "clip_to": ends}
    how = Resampling(mapping, interpolation, **steps)
    assert_equal(engine, engine.xp.asarray(array), how, dtype)


@pytest.mark.parametrize("factor", [6.0, 40.0])
def test_far_apart_outputs_need_several_tiles(engine: Engine, factor: float) -> None:
    array = voxels((3, 4, 700))
    mapping = GridMapping((3, 4, 17), (1, 1, factor), (0, 0, 3.3))
    how = Resampling(mapping, "cubic", antialias=True)
    assert_equal(engine, engine.xp.asarray(array), how)


def test_every_single_axis_and_pair_of_axes(engine: Engine) -> None:
    array = voxels((12, 13, 14))
    for kept in range(1, 7):
        scale = [1.4 if kept >> axis & 1 else 1.0 for axis in range(3)]
        shape = tuple(8 if step > 1 else n for step, n in zip(scale, array.shape, strict=True))
        how = Resampling(GridMapping(shape, tuple(scale)), "cubic")
        assert_equal(engine, engine.xp.asarray(array), how)


def test_float16_rounds_as_numpy_does(engine: Engine) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].astype(np.float32)
    between = (finite[:-1].astype(np.float64) + finite[1:]) / 2  # ties, and their neighbours
    ties = between.astype(np.float32)
    special = np.float32([np.nan, np.inf, -np.inf, 65519.99, 65520, -65520, 1e30, 2**-25, 1e-40])
    random = np.random.default_rng(1).integers(0, 1 << 32, 60_000, np.uint32).view(np.float32)
    parts = [finite, ties, np.nextafter(ties, np.float32(9e9)), np.nextafter(ties, -special[1])]
    values = np.concatenate([*parts, special, random]).reshape(1, 1, -1)
    mapping = GridMapping(values.shape)
    result = engine.to_host(
        resample_device(engine, engine.xp.asarray(values), Resampling(mapping), dtype=np.float16)
    )
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    number = ~np.isnan(expected)
    assert (np.isnan(result) == ~number).all()
    assert (result.view(np.uint16) == expected.view(np.uint16))[number].all()


def test_float64_is_rounded_once(engine: Engine) -> None:
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)].astype(np.float64)
    ties = (finite[:-1] + finite[1:]) / 2
    special = [0.0, -0.0, np.inf, -np.inf, 65519.9999999999, 65520, 1e300, -1e300, 1e-300, 5e-324]
    near = [ties * (1 + 1e-12), ties * (1 - 1e-12), -ties]
    values = np.concatenate([finite, ties, *near, special]).reshape(1, 1, -1)
    view = engine.xp.asarray(values)
    for dtype in (np.float16, np.float32):
        result = engine.to_host(
            resample_device(engine, view, Resampling(GridMapping(values.shape)), dtype=dtype)
        )
        with np.errstate(over="ignore"):
            expected = values.astype(dtype)
        assert (result.view(f"u{result.itemsize}") == expected.view(f"u{result.itemsize}")).all()


@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "f8", "u2"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "i2"])
def test_picks_move_values_exactly(engine: Engine, kind: str, dtype: str) -> None:
    array = (voxels((6, 5, 40), "i4") * 17 - 20_000).astype(kind)
    mapping = GridMapping((4, 7, 61), (1.4, 0.7, 0.6), (0, 0.2, -0.3))
    for step in (IDENTITY, clip(-1000, 400), affine(0.01, -3), ClipAffine(scale=0.0, offset=2.5)):
        how = Resampling(mapping, "nearest", prologue=step)
        expected = resample(array, how, dtype=dtype)
        result = engine.to_host(resample_device(engine, engine.xp.asarray(array), how, dtype=dtype))
        assert (result == expected).all()


def test_background_and_constants_stay_exact(engine: Engine) -> None:
    array = np.full((9, 9, 9), -1024, np.int16)
    mapping = GridMapping((5, 6, 7), (1.7, 1.4, 1.2), (0.1, 0.2, 0.3))
    for interpolation in ("linear", "cubic"):
        result = resample_device(
            engine, engine.xp.asarray(array), Resampling(mapping, interpolation)
        )
        assert (engine.to_host(result) == -1024).all()


def test_what_cannot_be_done_is_refused(engine: Engine) -> None:
    mapping = GridMapping((2, 2, 2), (1.3, 1.3, 1.3))
    volume = voxels((4, 4, 4), "f4")
    volume[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="not all finite"):
        resample_device(engine, engine.xp.asarray(volume), Resampling(mapping))
    for kind in ("i8", "f2", "u4"):
        with pytest.raises(TypeError, match="kernels read"):
            resample_device(engine, engine.xp.asarray(voxels((4, 4, 4), kind)), Resampling(mapping))
    with pytest.raises(TypeError, match="kernels write"):
        resample_device(
            engine, engine.xp.asarray(voxels((4, 4, 4))), Resampling(mapping), dtype=np.uint8
        )
    with pytest.raises(ValueError, match="3-D"):
        resample_device(engine, engine.xp.asarray(voxels((4, 4, 4))[0]), Resampling(mapping))
