"""The statistics kernels against the NumPy engine and NumPy itself."""

import math

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.statistics import DeviceDistribution, measure_device, value_range_device
from gpuprep.ops.histogram import Histogram
from gpuprep.ops.statistics import measure
from gpuprep.values.geometry import Reorientation

SIZES = (1, 2, 3, 31, 32, 33, 255, 256, 257, 4095, 4096, 4097)
KINDS = ("?", "i1", "u1", "i2", "u2", "i4", "f4", "f8")
PERCENTILES = (0, 0.5, 1, 33.3, 50, 99, 99.95, 100)
SWIZZLED = Reorientation((2, 0, 1), (True, False, True))


def scan(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    """Mostly air (one value), the rest anything that the dtype holds."""
    random = np.random.default_rng(seed)
    if kind == "?":
        return random.random(shape) < 0.2
    if kind in ("f4", "f8"):
        body = random.normal(0, 300, shape).astype(kind)
        body[random.random(shape) < 0.1] = -0.0
        return np.where(random.random(shape) < 0.6, body.dtype.type(-1000), body)
    limits = np.iinfo(kind)
    body = random.integers(limits.min, limits.max, shape, kind, endpoint=True)
    return np.where(random.random(shape) < 0.6, np.array(3, kind), body)


def assert_equal(engine: Engine, view, mask=None) -> None:
    host = engine.to_host(view)
    host_mask = None if mask is None else engine.to_host(mask)
    expected, result = measure(host, host_mask), measure_device(engine, view, mask)
    assert (result.count, result.nan, result.inf) == (expected.count, expected.nan, expected.inf)
    if isinstance(expected, Histogram) and isinstance(result, Histogram):
        assert result.start == expected.start
        assert (result.counts == expected.counts).all()
    if not expected.count:
        return
    assert result.percentiles(PERCENTILES) == expected.percentiles(PERCENTILES)
    ends = expected.percentiles((0, 5, 50, 100))
    for value in (*ends, 0.0, 3.0, math.nextafter(ends[2], math.inf), ends[3] + 1):
        assert result.count_below(value) == expected.count_below(value)
    for clip in ((-math.inf, math.inf), (-50.0, 77.5)):
        assert result.moments(clip) == pytest.approx(expected.moments(clip), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_every_type(engine: Engine, kind: str, masked: bool) -> None:
    voxels = engine.xp.asarray(scan((9, 21, 70), kind))
    mask = engine.xp.asarray(scan((9, 21, 70), "?", seed=1)) if masked else None
    assert_equal(engine, voxels, mask)
    assert_equal(engine, SWIZZLED.view(voxels), None if mask is None else SWIZZLED.view(mask))


@pytest.mark.parametrize("kind", ["u1", "i2", "f4", "f8"])
def test_every_length(engine: Engine, kind: str) -> None:
    for size in SIZES:
        voxels = engine.xp.asarray(scan((2, 1, size), kind, seed=size))
        assert_equal(engine, voxels)
        assert_equal(engine, voxels[:, :, ::-1])
        assert_equal(engine, voxels[:, :, : size // 2 + 1])


def test_masks_of_other_strides_and_types(engine: Engine) -> None:
    voxels = engine.xp.asarray(scan((10, 12, 14), "i2"))
    flags = engine.xp.asarray(scan((14, 12, 10), "?", seed=2)).transpose(2, 1, 0)
    assert_equal(engine, voxels, flags)
    assert_equal(engine, voxels, engine.xp.asarray(scan((10, 12, 14), "i2", seed=3) % 3))
    assert_equal(engine, voxels, engine.xp.zeros((10, 12, 14), np.uint8))


def test_narrow_ranges_of_wide_integers_are_counted(engine: Engine) -> None:
    voxels = np.random.default_rng(4).integers(-1_000_000, -960_000, (6, 7, 80), np.int32)
    result = measure_device(engine, engine.xp.asarray(voxels))
    assert isinstance(result, Histogram)
    assert_equal(engine, engine.xp.asarray(voxels))


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_not_finite_voxels_are_counted_and_left_out(engine: Engine, kind: str) -> None:
    voxels = scan((5, 6, 70), kind)
    voxels[0, 0, :5] = np.nan
    voxels[1, 2, 3:6] = np.inf
    voxels[4, 5, 6] = -np.inf
    assert_equal(engine, engine.xp.asarray(voxels))
    assert_equal(engine, engine.xp.asarray(np.full((2, 3, 4), np.nan, np.float32)))
    low, high = value_range_device(engine, engine.xp.asarray(voxels))
    assert math.isnan(low)
    assert math.isnan(high)
    voxels[0, 0, :5] = 0
    assert value_range_device(engine, engine.xp.asarray(voxels)) == (-math.inf, math.inf)


def test_special_floats_order_by_value(engine: Engine) -> None:
    tiny = np.float32([1e-45, -1e-45, 1e-38, 0.0, -0.0, 3.4e38, -3.4e38, 1.0, np.pi])
    voxels = np.random.default_rng(5).choice(tiny, (3, 4, 50))
    assert_equal(engine, engine.xp.asarray(voxels))


def test_moments_far_from_zero_keep_their_digits(engine: Engine) -> None:
    voxels = np.random.default_rng(6).normal(30_000, 0.5, (8, 30, 90)).astype(np.float32)
    result = measure_device(engine, engine.xp.asarray(voxels))
    assert isinstance(result, DeviceDistribution)
    exact = voxels.astype(np.float64)
    assert result.moments() == pytest.approx((exact.mean(), exact.std()), rel=1e-12)


def test_moments_are_the_same_bits_every_time(engine: Engine) -> None:
    voxels = engine.xp.asarray(scan((40, 30, 50), "f4"))
    first, second = (measure_device(engine, voxels).moments() for _ in range(2))
    assert first == second


def test_wrong_questions_are_refused(engine: Engine) -> None:
    voxels = engine.xp.asarray(scan((3, 4, 5), "i2"))
    with pytest.raises(ValueError, match="mask of shape"):
        measure_device(engine, voxels, voxels[1:])
    with pytest.raises(TypeError, match="kernels read"):
        measure_device(engine, engine.xp.zeros((2, 2, 2), np.int64))
    with pytest.raises(ValueError, match="no voxels"):
        measure_device(engine, voxels, engine.xp.zeros((3, 4, 5), np.uint8)).percentiles([50])
