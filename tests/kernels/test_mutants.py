"""Bugs put into copies of the kernels are caught: by a wrong result, an order, or a trap."""

import math
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest

import gpuprep.ops.device.clahe as launches
import gpuprep.ops.device.median as median_launch
import gpuprep.ops.device.scatter as scatter
from gpuprep.kernels.compiler import read_source
from gpuprep.kernels.loader import SOURCES, Engine
from gpuprep.ops.clahe import clahe
from gpuprep.ops.crop import find_box
from gpuprep.ops.device.clahe import clahe_device
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.median import median_device
from gpuprep.ops.device.pointwise import (
    cleaned_device,
    find_mask_device,
    marked_device,
    masked_device,
    restore_device,
)
from gpuprep.ops.device.profiles import find_box_device, slice_ranges_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device, value_range_device
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.median import median
from gpuprep.ops.pointwise import IDENTITY, ClipAffine
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.statistics import measure
from gpuprep.values.grids import GridMapping
from kernels.cuda_on_cpu.cpu_module import ORDERS, KernelFailure, missing
from kernels.kernel_engines import cpu_engine
from kernels.mutants import MUTANTS, narrowed
from kernels.test_curves import made, off
from kernels.test_scatter import assert_scattered, check_conversion

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "runs"),
]


def volume(shape: tuple[int, int, int] = (5, 9, 300)) -> np.ndarray:
    random = np.random.default_rng(3)
    edges = np.where(np.indices(shape).sum(0) // 4 % 2, 1500, -1000)
    return (edges + random.normal(0, 40, edges.shape)).astype(np.int16)


MAPPING = GridMapping((3, 7, 170), (1.5, 1.3, 1.77), (0.2, -0.3, 0.4))
LINE = ClipAffine(-800, 1400, 0.013, 0.7)


WITHIN_PLANES = GridMapping((5, 7, 100), (1.0, 1.3, 3.0), (0.0, -0.3, 0.4))  # more than one tile
TALL = GridMapping((2, 37, 60), (1.4, 1.9, 2.1), (0.2, -0.3, 0.4))  # several blocks of rows
NARROW = GridMapping((3, 7, 70), (1.5, 1.3, 1.6), (0.2, -0.3, 0.4))


def check_resample(engine: Engine, array: np.ndarray, mapping: GridMapping) -> None:
    """Passes to float16, whose last places would show a sum out of order or rounded wrongly."""
    how = Resampling(mapping, "cubic", epilogue=LINE)
    for dtype in ("f2", "f4"):
        result = resample_device(engine, engine.xp.asarray(array), how, dtype=dtype)
        backwards = engine.xp.asarray(array[:, :, ::-1])[:, :, ::-1]
        assert (resample_device(engine, backwards, how, dtype=dtype) == result).all()
        expected = resample(array, how, dtype=dtype)
        allowed = 2e-6 * 2500 * 0.013
        differ = np.abs(result.astype(np.float64) - expected) > allowed
        assert differ.mean() < (0.005 if dtype == "f2" else 1e-9)


def check_linear(engine: Engine) -> None:
    array = volume()
    chunks = resample_device(engine, engine.xp.asarray(array), Resampling(MAPPING), chunk=3)
    assert_chunks(chunks, resample(array, Resampling(MAPPING)), 2e-6 * 2600)
    deep = GridMapping((9, 3, 40), (0.5, 1.3, 1.77))
    for prologue in (IDENTITY, LINE):
        how = Resampling(deep, prologue=prologue)
        result = resample_device(engine, engine.xp.asarray(array), how)
        assert np.abs(result - resample(array, how)).max() < 2e-6 * 2600
    ties = np.arange(2049, 3000, 2, np.int16).reshape(1, 1, -1)  # between two float16 each
    same = GridMapping(ties.shape)
    for values in (ties, ties * (1 + 1e-9)):  # float32 would not see the difference
        result = resample_device(
            engine, engine.xp.asarray(values), Resampling(same), dtype=np.float16
        )
        assert (result == values.astype(np.float16)).all()


def check_labels(engine: Engine) -> None:
    random = np.random.default_rng(0)
    for scale in (0.5, 2 / 3, 0.1):
        labels = random.integers(0, 4, (6, 7, 8)).astype(np.uint8)
        mapping = GridMapping((9, 9, 40), (scale,) * 3, (0.25, 0.5, 1 / 6))
        how = Resampling(mapping)
        result = resample_labels_device(engine, engine.xp.asarray(labels), how)
        assert (result == resample_labels(labels, how)).all()


def check_statistics(engine: Engine) -> None:
    random = np.random.default_rng(1)
    integers = np.where(random.random((3, 4, 333)) < 0.7, -1000, 60).astype(np.int16)
    integers[0, 0] = random.integers(-9, 9, 333)
    integers[1] = -1000  # air, on which warps agree
    mask = (random.random(integers.shape) < 0.8).astype(np.uint8)
    negative = integers - np.int16(2000)
    ends = value_range_device(engine, engine.xp.asarray(negative))
    assert ends == (negative.min(), negative.max())
    for array in (integers, (integers * 0.37).astype(np.float32)):
        for flags in (None, mask):
            given = None if flags is None else engine.xp.asarray(flags)
            result = measure_device(engine, engine.xp.asarray(array), given)
            expected = measure(array, flags)
            assert result.count == expected.count
            assert result.percentiles((0, 30, 99)) == expected.percentiles((0, 30, 99))
            assert math.dist(result.moments(), expected.moments()) < 1e-9 * 1000


def check_separate(engine: Engine) -> None:
    """Slices by themselves, in chunks: overshoots are cut off at the range of their own slice."""
    array = volume() + np.int16(3000) * np.arange(5, dtype=np.int16)[:, None, None]
    for axis in (0, 1):
        view = array.swapaxes(0, axis)
        mapping = GridMapping((4, 7, 170), (1.2, 1.3, 1.77), (0.2, -0.3, 0.4))
        how = Resampling(mapping, "cubic", separate_axis=axis)
        device = engine.xp.asarray(array).swapaxes(0, axis)
        chunks = resample_device(engine, device, how, chunk=3)
        assert_chunks(chunks, resample(view, how), 2e-6 * 16000)


def assert_chunks(chunks: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Chunks of 3 hold the expected array, and zeros beyond it."""
    padded = np.pad(expected, [(0, -n % 3) for n in expected.shape])
    result = chunks.transpose(0, 3, 1, 4, 2, 5).reshape(padded.shape)
    assert np.abs(result - padded).max() < tolerance


def check_profiles(engine: Engine) -> None:
    array = np.zeros((5, 300, 200), np.int16)
    array[1:3, 20:280, 30:170] = np.random.default_rng(2).integers(0, 1000, (2, 260, 140))
    view = engine.xp.asarray(array)
    for fraction in (0.3, 0.9, 0.97):
        assert find_box_device(engine, [view], 700, fraction) == find_box([array], 700, fraction)
    assert find_box_device(engine, [view]) == find_box([array])
    noise = np.random.default_rng(3).integers(-9999, 9999, (4, 5, 300)).astype(np.int16)
    for axis, others in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
        low, high = slice_ranges_device(engine, engine.xp.asarray(noise), axis)
        assert (low == noise.min(others)).all()
        assert (high == noise.max(others)).all()


def check_pointwise(engine: Engine) -> None:
    first, second = volume(), volume()[::-1].copy()
    views = engine.xp.asarray(first), engine.xp.asarray(second)
    mask = find_mask_device(engine, [views[0]], 1500)
    assert (mask == (first > 1500)).all()
    both = find_mask_device(engine, [view * (view > 1500) for view in views])
    assert (both == ((first > 1500) | (second > 1500))).all()
    masked = masked_device(engine, views[0], mask, LINE)
    assert (masked == LINE.apply(first) * (first > 1500)).all()
    labels = (first > 1700) + np.int16(2) * (second < 1000)
    marked = marked_device(engine, engine.xp.asarray(labels), mask, -1)
    assert (marked == np.where((labels == 0) & (first <= 1500), -1, labels)).all()
    constant = Resampling(MAPPING, epilogue=ClipAffine(scale=0, offset=3))
    chunks = resample_device(engine, views[0], constant, chunk=3)
    assert_chunks(chunks, np.full(MAPPING.shape, 3, np.float32), 1e-9)
    broken = engine.xp.asarray(np.float32([[[np.nan, np.inf, -np.inf, 2]]]))
    found = find_mask_device(engine, [broken])
    assert found.ravel().tolist() == [0, 0, 0, 1]
    everywhere = engine.xp.asarray(np.ones((1, 1, 4), np.uint8))
    kept = masked_device(engine, broken, everywhere, IDENTITY)
    assert kept.ravel().tolist() == [0, 0, 0, 2]
    cleaned = cleaned_device(engine, broken, 5, 6, 7)
    assert cleaned.ravel().tolist() == [5, 6, 7, 2]
    restore_device(engine, broken, cleaned[:, :, ::-1])
    restored = cleaned[0, 0, ::-1]
    assert np.isnan(restored[0])
    assert restored[1:].tolist() == [np.inf, -np.inf, 5]


def check_curves(engine: Engine) -> None:
    for knots in ("few", "many"):
        step = made(knots)
        x = np.float32(step.table.x)
        near = np.nextafter(x, np.float32(np.inf)), x + np.float32(0.02)  # within the knot's bucket
        floats = np.concatenate([x, *near, np.float32([-500, 500])])
        for kind in ("i2", "f4", "f8"):
            array = np.resize(floats, (3, 5, 130)).astype(kind)
            given = engine.xp.asarray(array)
            assert off(curved_device(engine, given, step), step.apply(array), step) <= 2e-6
            mask = (array > 0).astype(np.uint8)
            masked = curved_device(engine, given, step, engine.xp.asarray(mask))
            assert off(masked, step.apply(array) * mask, step) <= 2e-6
    broken = engine.xp.asarray(np.float32([[[np.nan, np.inf, -np.inf, 2]]]))
    assert np.isnan(curved_device(engine, broken, step)).ravel().tolist() == [1, 1, 1, 0]


def check_medians(engine: Engine) -> None:
    random = np.random.default_rng(4)
    for kind in ("i2", "u2", "f2"):
        array = random.normal(0, 30, (7, 10, 40)).astype(np.int16).astype(kind)
        given = engine.xp.asarray(array)
        part = slice(1, 6), slice(2, 9), slice(1, 39)
        for size in (3, 5):
            expected = median(array, size)
            assert (median_device(engine, given, size) == expected).all()
            assert (median_device(engine, given, size, part=part) == expected[part]).all()
            with patch.object(median_launch, "MOST_GRID", 1):
                assert (median_device(engine, given, size) == expected).all()


def check_clahe(engine: Engine) -> None:
    array = volume((9, 14, 150))
    array[array > 1480] = 0  # much in one bin
    ends = float(array.min()) + 9, float(array.max()) - 9
    shares = {"_SHARE": 300, "MOST_GRID": 3, "_MOST_BLOCKS": 2}
    with patch.multiple(launches, **shares):
        for tile, limit, bins in (((4, 5, 37), 0.01, 256), ((2, 3, 40), 0.1, 17)):
            for kind in ("i2", "f4"):
                given = array.astype(kind)
                wanted = clahe(given, tile, ends, clip_limit=limit, bins=bins)
                device = engine.xp.asarray(given)
                found = clahe_device(engine, device, tile, ends, clip_limit=limit, bins=bins)
                assert (engine.to_host(found) == wanted).all()
    broken = np.float32([[[np.nan, np.inf, -np.inf, 0.3, 5]]])
    found = clahe_device(engine, engine.xp.asarray(broken), (1, 2, 3), (0.1, 2.0))
    assert (engine.to_host(found) == clahe(broken, (1, 2, 3), (0.1, 2.0))).all()


def check_banded(engine: Engine) -> None:
    check_resample(engine, volume(), MAPPING)
    check_resample(engine, volume(), WITHIN_PLANES)
    check_resample(engine, volume((3, 71, 130)), TALL)
    check_resample(engine, volume()[:, :, :110], NARROW)
    check_separate(engine)


def check_scatter(engine: Engine) -> None:
    for kind in ("u1", "f2", "i8"):
        assert_scattered(engine, kind, chunk=(6, 7, 40), patch=(12, 14, 70))
    with patch.object(scatter, "MOST_GRID", 5):
        assert_scattered(engine, "u1", chunk=(1, 1, 1), patch=(3, 4, 5))
    for kind, other in (("i1", "i4"), ("i2", "u1"), ("u8", "i8")):
        check_conversion(engine, kind, other)


CHECKS: dict[str, Callable[[Engine], None]] = {
    "resample": check_banded,
    "plane": check_banded,
    "linear": check_linear,
    "labels": check_labels,
    "statistics": check_statistics,
    "profiles": check_profiles,
    "pointwise": check_pointwise,
    "curve": check_curves,
    "median": check_medians,
    "clahe": check_clahe,
    "scatter": check_scatter,
}


def survives(source: str, text: str) -> bool:
    """Whether the check of a source passes in every order of the threads."""
    for order in ORDERS:
        engine = cpu_engine(
            order, {name: narrowed(read_source(name)) for name in SOURCES} | {source: text}
        )
        try:
            CHECKS[source](engine)
        except (AssertionError, KernelFailure):
            return False
    return True


@pytest.mark.parametrize("source", SOURCES)
def test_the_kernels_themselves_survive(source: str) -> None:
    assert survives(source, narrowed(read_source(source)))


@pytest.mark.parametrize("name", MUTANTS)
def test_every_bug_is_caught(name: str) -> None:
    source, right, wrong = MUTANTS[name]
    text = narrowed(read_source(source))
    assert text.count(right) == 1
    assert not survives(source, text.replace(right, wrong))
