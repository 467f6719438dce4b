"""Resampling against SciPy and SimpleITK, and what must hold for any input."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage as ndimage
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprep.ops.pointwise import ClipAffine, affine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.geometry import Geometry, Reorientation
from gpuprep.values.grids import Convention, GridMapping, map_shape, map_spacing

ORDERS = [("linear", "nearest", 1), ("cubic", "nearest", 3), ("cubic", "mirror", 3)]


CONVENTIONS: tuple[Convention, ...] = ("centered", "nnunet", "monai", "torchio", "itk")


def ct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A volume with the range of a CT: smooth parts, edges and noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, shape), 2, mode="nearest")
    volume = np.where(smooth > 0, 900.0, -1000.0) + rng.normal(0, 60, shape)
    return np.clip(volume, -1024, 3071).astype(np.int16)


def scipy_grid(array: np.ndarray, mapping: GridMapping, order: int, mode: str) -> np.ndarray:
    return ndimage.affine_transform(
        array.astype(np.float64),
        mapping.scale,
        mapping.offset,
        mapping.shape,
        order=order,
        mode=mode,
    )


def error(result: np.ndarray, expected: np.ndarray, array: np.ndarray) -> float:
    """The largest difference as a share of the input's range."""
    return float(np.abs(result - expected).max() / max(1e-30, np.ptp(array.astype(np.float64))))


@pytest.mark.parametrize(("interpolation", "boundary", "order"), ORDERS)
@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (0.6, 0.9, 1.1), (2.9, 0.5, 4.0)])
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_grid_equals_scipy(interpolation, boundary, order, spacing, convention) -> None:
    array = ct((33, 47, 52))
    mapping = map_spacing(Geometry(array.shape, (0.8, 0.8, 2.5)), spacing, convention)
    result = resample(array, Resampling(mapping, interpolation, boundary=boundary))
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert error(result, scipy_grid(array, mapping, order, boundary), array) < 1e-6


@pytest.mark.parametrize(("interpolation", "boundary", "order"), ORDERS)
@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 3, 4, 9, 31])] * 3),
    out=st.tuples(*[st.sampled_from([1, 2, 3, 5, 16, 33])] * 3),
    scale=st.tuples(*[st.floats(0.3, 3)] * 3),
    offset=st.tuples(*[st.floats(-2, 2)] * 3),
    kind=st.sampled_from(["u1", "i2", "u2", "i4", "f2", "f4", "f8", ">i2", ">f4", "?"]),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    threads=st.sampled_from([1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_dtype_and_strides_equal_scipy(
    interpolation, boundary, order, shape, out, scale, offset, kind, axes, flips, threads
) -> None:
    base = np.random.default_rng(5).integers(0, 200, shape).astype(kind)
    array = Reorientation(tuple(axes), flips).view(base)
    mapping = GridMapping(out, scale, offset)
    target = np.empty(out[::-1], np.float32).transpose(2, 1, 0)
    result = resample(
        array, Resampling(mapping, interpolation, boundary=boundary), threads=threads, out=target
    )
    assert result is target
    expected = scipy_grid(array, mapping, order, boundary)
    assert np.abs(result - expected).max() <= 1e-6 * max(1.0, np.ptp(array.astype(float)))


@pytest.mark.parametrize("shape", [(300, 21, 17), (40, 9, 1100), (2, 700, 800)])
def test_large_and_flat_volumes_equal_scipy(shape) -> None:
    array = ct(shape)
    mapping = map_shape(Geometry(shape), tuple(max(1, round(n * 0.77)) for n in shape))
    for interpolation, boundary, order in ORDERS:
        result = resample(array, Resampling(mapping, interpolation, boundary=boundary), threads=2)
        assert error(result, scipy_grid(array, mapping, order, boundary), array) < 1e-6


@pytest.mark.parametrize(
    ("interpolation", "boundary", "foreign"),
    [("linear", "nearest", sitk.sitkLinear), ("cubic", "mirror", sitk.sitkBSpline)],
)
@pytest.mark.parametrize("convention", ["centered", "torchio", "nnunet"])
def test_equals_simpleitk_on_an_oblique_grid(interpolation, boundary, foreign, convention) -> None:
    array = ct((24, 37, 41))
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    geometry = Geometry(array.shape, (0.7, 0.8, 2.5), (-100, 40, 7), tuple(turn.ravel()))
    mapping = map_spacing(geometry, (1.1, 0.6, 1.7), convention)
    grid = mapping.on(geometry)
    image = sitk.GetImageFromArray(array.astype(np.float64))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    target = (grid.size, sitk.Transform(), foreign, grid.origin, grid.spacing, grid.direction)
    expected = sitk.GetArrayFromImage(sitk.Resample(image, *target, -9999.0, sitk.sitkFloat64))
    inside = expected > -9000  # beyond half a voxel past the edge ITK fills in
    assert inside.mean() > 0.85
    result = resample(array, Resampling(mapping, interpolation, boundary=boundary))
    assert error(result[inside], expected[inside], array) < 1e-6


@pytest.mark.parametrize("spacing", [(1.5, 1.5, 1.5), (0.5, 0.5, 1.0)])
def test_equals_the_image_path_of_nnunet(spacing) -> None:
    array = ct((40, 61, 58)).astype(np.float32)
    mapping = map_spacing(Geometry(array.shape, (0.8, 0.8, 2.0)), spacing, "nnunet")
    zoom = [m / n for m, n in zip(mapping.shape, array.shape, strict=True)]
    expected = ndimage.zoom(array.astype(float), zoom, order=3, mode="nearest", grid_mode=True)
    low, high = float(array.min()), float(array.max())
    result = resample(array, Resampling(mapping, "cubic", clip_to=(low, high)))
    assert (expected < low).any()  # the clip has something to do
    assert error(result, np.clip(expected, low, high), array) < 1e-5
    assert (result.min(), result.max()) == (low, high)


def test_antialias_equals_smoothing_first() -> None:
    array = ct((30, 60, 44)).astype(np.float32)
    mapping = map_shape(Geometry(array.shape), (11, 25, 44))
    sigma = [np.sqrt(max(0, k * k - 1)) / (2 * np.sqrt(2 * np.log(2))) for k in mapping.scale]
    smooth = ndimage.gaussian_filter(array.astype(np.float64), sigma, mode="nearest")
    for interpolation, order in (("linear", 1), ("cubic", 3)):
        result = resample(array, Resampling(mapping, interpolation, antialias=True))
        assert error(result, scipy_grid(smooth, mapping, order, "nearest"), array) < 1e-6


def test_axes_may_differ_in_interpolation() -> None:
    array = ct((9, 40, 30))
    mapping = map_shape(Geometry(array.shape), (15, 31, 39))
    picks = np.floor((np.arange(15) + 0.5) * 9 / 15).astype(int)
    inplane = GridMapping((9, 31, 39), (1.0, *mapping.scale[1:]), (0.0, *mapping.offset[1:]))
    expected = scipy_grid(array, inplane, 3, "nearest")[picks]
    result = resample(array, Resampling(mapping, ("nearest", "cubic", "cubic")))
    assert error(result, expected, array) < 1e-6


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_same_spacing_keeps_every_voxel(convention: Convention) -> None:
    for n in range(1, 1025):
        array = np.arange(4 * n, dtype=np.int16).reshape(2, 2, n)
        geometry = Geometry(array.shape, (float(np.float32(0.7)), 0.7, 2.5))
        mapping = map_spacing(geometry, (0.7, 0.7, 2.5), convention)
        result = resample(array, Resampling(mapping, "cubic"), dtype=np.int16)
        assert result.tobytes() == array.tobytes()


def test_identical_grids_keep_every_bit_of_any_dtype() -> None:
    rng = np.random.default_rng(3)
    for kind in (np.uint8, np.int32, np.uint64, np.float16, np.float64):
        array = rng.integers(0, 255, (5, 6, 7)).astype(kind) * kind(3)
        same = GridMapping(array.shape)
        turned = array.transpose(2, 0, 1)[::-1]
        assert resample(array, Resampling(same), dtype=kind).tobytes() == array.tobytes()
        result = resample(turned, Resampling(GridMapping(turned.shape)), dtype=kind, threads=2)
        assert result.tobytes() == turned.tobytes()
    wide = np.array([[[2**24 + 1, -(2**30) - 1]]], np.int32)
    picked = resample(wide, Resampling(GridMapping((1, 1, 4), (1, 1, 0.5)), "nearest"), dtype="i4")
    assert picked.tolist() == [[[2**24 + 1, -(2**30) - 1, -(2**30) - 1, -(2**30) - 1]]]


def test_nearest_takes_the_half_up_voxel() -> None:
    array = ct((13, 20, 17))
    mapping = GridMapping((19, 11, 30), (0.7, 1.9, 0.5), (-0.2, 0.4, -0.25))
    tables = [
        np.clip(np.floor(np.round((np.arange(m) * k + o) * 2**32) / 2**32 + 0.5), 0, n - 1)
        for n, m, k, o in zip(
            array.shape, mapping.shape, mapping.scale, mapping.offset, strict=True
        )
    ]
    expected = array[np.ix_(*[table.astype(int) for table in tables])]
    for view in (array, np.asfortranarray(array)):
        result = resample(view, Resampling(mapping, "nearest"), dtype=np.int16, threads=2)
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("value", [0, -1024, 0.1, 1e-42, 3e38, -1e300, 123456789.25])
def test_a_constant_stays_exactly_constant(interpolation, value) -> None:
    array = np.full((5, 14, 23), value, np.float64 if abs(value) > 1e38 else np.float32)
    mapping = map_shape(Geometry(array.shape), (9, 7, 40))
    kind = np.float64 if abs(value) > 3.5e38 else np.float32
    result = resample(array, Resampling(mapping, interpolation, antialias=True), dtype=kind)
    assert np.unique(result).tolist() == [kind(array[0, 0, 0])]


@pytest.mark.parametrize("background", [0.0, -1000.0, 0.1])
def test_the_background_stays_what_it_is(background) -> None:
    array = np.full((20, 60, 64), background, np.float32)
    array[6:14, 32:48, 34:50] = np.random.default_rng(1).uniform(200, 900, (8, 16, 16))
    array[0, 0, 0] = 50  # one corner is not background
    mapping = map_spacing(Geometry(array.shape), (0.7, 1.3, 0.8))
    linear = resample(array, Resampling(mapping))
    touched = scipy_grid(array != background, mapping, 1, "nearest") > 0
    assert 0.02 < touched.mean() < 0.2
    assert (linear[~touched] == np.float32(background)).all()
    cubic = resample(array, Resampling(mapping, "cubic"))  # rings near the block, not far from it
    assert np.abs(cubic[:, -1:, :1] - np.float32(background)).max() == 0
    scale = 1 / (900.0 - background)
    unit = ClipAffine(background, 900.0, scale, -background * scale)
    how = Resampling(mapping, prologue=unit, clip_to=(0, 1))
    stored = resample(array, how, dtype=np.float16)
    assert (stored[~touched] == 0).all()


@pytest.mark.parametrize("span", [(-3e38, 3e38), (1e5, 1e5 + 1), (-1e-35, 2e-35), (-1e300, 1e299)])
def test_extreme_ranges_stay_accurate(span) -> None:
    array = np.random.default_rng(1).uniform(0, 1, (6, 17, 19))
    array = span[0] * (1 - array) + span[1] * array
    mapping = map_shape(Geometry(array.shape), (9, 11, 23))
    expected = scipy_grid(array, mapping, 1, "nearest")
    result = resample(array, Resampling(mapping), dtype=np.float64)
    assert np.abs(result - expected).max() <= 1e-6 * (array.max() - array.min())


def test_intensity_steps_are_folded_in() -> None:
    array = ct((21, 33, 29))
    mapping = map_shape(Geometry(array.shape), (30, 20, 31))
    prologue = clip(-1000, 400).then(affine(1 / 300, -50 / 300))
    epilogue = ClipAffine(-3, 1, 255 / 4, 3 * 255 / 4)
    limits = prologue.bounds(-1000, 400)
    resampled = scipy_grid(prologue.apply(array, np.float64), mapping, 3, "nearest")
    expected = epilogue.apply(np.clip(resampled, *limits), np.float64)
    how = Resampling(mapping, "cubic", prologue=prologue, epilogue=epilogue, clip_to=limits)
    result = resample(array, how)
    assert np.abs(result - expected).max() < 1e-6 * 255
    hinted = resample(array, replace(how, value_range=(-1024, 3071)))
    assert np.abs(hinted - expected).max() < 1e-6 * 255
    rounded = resample(array, how, dtype=np.uint8)
    assert np.abs(rounded - expected).max() < 0.5001
    half = resample(array, how, dtype=np.float16)
    assert half.dtype == np.float16
    assert np.abs(half - expected).max() < 0.07


def test_integer_results_never_wrap() -> None:
    array = np.where(np.arange(400).reshape(1, 20, 20) % 20 < 10, 0, 65535).astype(np.uint16)
    mapping = map_shape(Geometry(array.shape), (1, 20, 61))
    overshoot = scipy_grid(array, mapping, 3, "nearest")
    assert overshoot.min() < -100  # a wrapped result would be far off
    for kind in (np.uint16, np.int16, np.uint8):
        limits = np.iinfo(kind)
        result = resample(array, Resampling(mapping, "cubic"), dtype=kind)
        expected = np.clip(np.rint(overshoot), limits.min, limits.max)
        assert np.abs(result.astype(float) - expected).max() <= 1


def test_results_do_not_depend_on_threads_or_memory_order() -> None:
    array = ct((90, 64, 70))
    mapping = map_shape(Geometry(array.shape), (61, 80, 44))
    for interpolation in ("nearest", "linear", "cubic"):
        results = [
            resample(array, Resampling(mapping, interpolation), threads=threads).tobytes()
            for threads in (1, 2, 5)
        ]
        assert len(set(results)) == 1
        one = np.frombuffer(results[0], np.float32).reshape(mapping.shape)
        other = resample(np.asfortranarray(array), Resampling(mapping, interpolation))
        assert error(other, one, array) < 1e-6
