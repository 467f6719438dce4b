"""Slices resampled one by one: against SciPy slice by slice, and the rule that decides on it."""

import numpy as np
import pytest
import scipy.ndimage as ndimage
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.config.model import Resample
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import affine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.preprocess.grid import separate_axis
from gpuprep.values.geometry import Geometry, Reorientation
from gpuprep.values.grids import map_shape, map_spacing


def slicewise_zoom(array: np.ndarray, shape: tuple[int, ...], axis: int, order: int) -> np.ndarray:
    """Each slice by ``scipy.ndimage.zoom``, clipped to its own range; then the nearest slice."""
    slices = np.moveaxis(array.astype(np.float64), axis, 0)
    n, m = array.shape[axis], shape[axis]
    inner = [length for k, length in enumerate(shape) if k != axis]
    zoomed = []
    for plane in slices:
        zoom = [b / a for a, b in zip(plane.shape, inner, strict=True)]
        values = ndimage.zoom(plane, zoom, order=order, mode="nearest", grid_mode=True)
        zoomed.append(np.clip(values, plane.min(), plane.max()))
    picks = (2 * np.arange(m) + 1) * n // (2 * m)
    return np.moveaxis(np.stack(zoomed)[picks], 0, axis)


def volume(shape: tuple[int, ...], kind: str = "i2", seed: int = 3) -> np.ndarray:
    """Noise whose level and spread differ from slice to slice along every axis."""
    random = np.random.default_rng(seed)
    level = sum(np.ix_(*[random.normal(0, 300, n) for n in shape]))
    return (level + random.normal(0, 80, shape)).astype(kind)


@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 5, 9, 20])] * 3),
    out=st.tuples(*[st.sampled_from([1, 3, 8, 17, 30])] * 3),
    axis=st.integers(0, 2),
    kind=st.sampled_from(["i2", "f4", "f8"]),
    order=st.sampled_from([1, 3]),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    threads=st.sampled_from([1, 3]),
)
def test_any_shape_axis_and_strides_equal_scipy(
    shape, out, axis, kind, order, axes, flips, threads
) -> None:
    array = Reorientation(tuple(axes), flips).view(volume(shape, kind))
    mapping = map_shape(Geometry(array.shape), out)
    interpolation = "cubic" if order == 3 else "linear"
    result = resample(
        array, Resampling(mapping, interpolation, separate_axis=axis), threads=threads
    )
    expected = slicewise_zoom(array, out, axis, order)
    assert np.abs(result - expected).max() <= 1e-6 * max(1.0, np.ptp(array.astype(float)))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_slice_stays_within_its_own_range(axis: int) -> None:
    array = np.moveaxis(np.where(np.indices((6, 40, 44)).sum(0) % 9 < 4, 0.0, 1.0), 0, axis)
    gain = np.moveaxis(np.array([1.0, 100.0, 3.0, 0.0, 7.0, 1000.0]).reshape(6, 1, 1), 0, axis)
    array = (array * gain).astype(np.float32)
    out = tuple(13 if k == axis else 61 for k in range(3))
    mapping = map_shape(Geometry(array.shape), out)
    result = resample(array, Resampling(mapping, "cubic", separate_axis=axis))
    ends = np.moveaxis(result, axis, 0).reshape(13, -1)
    picks = (2 * np.arange(13) + 1) * 6 // 26
    source = np.moveaxis(array, axis, 0).reshape(6, -1)[picks]
    np.testing.assert_array_equal(ends.min(1), source.min(1))
    np.testing.assert_array_equal(ends.max(1), source.max(1))


def test_steps_before_come_first_and_steps_after_last() -> None:
    array = volume((7, 33, 29))
    before, after = clip(-200, 300).then(affine(-2.0, 30.0)), affine(0.01, -1.0)
    mapping = map_shape(Geometry(array.shape), (12, 40, 20))
    result = resample(
        array, Resampling(mapping, "cubic", separate_axis=0, prologue=before, epilogue=after)
    )
    clipped = before.apply(array, np.float64)
    expected = slicewise_zoom(clipped, mapping.shape, 0, 3) * 0.01 - 1.0
    assert np.abs(result - expected).max() <= 1e-6 * np.ptp(expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_bytes_do_not_depend_on_threads(axis: int) -> None:
    array = volume((70, 64, 75))
    mapping = map_shape(Geometry(array.shape), (61, 90, 44))
    results = [
        resample(
            array, Resampling(mapping, "cubic", separate_axis=axis), dtype="f2", threads=threads
        ).tobytes()
        for threads in (1, 2, 5)
    ]
    assert len(set(results)) == 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_labels_are_voted_on_slice_by_slice(axis: int) -> None:
    labels = np.random.default_rng(2).integers(0, 4, (9, 11, 10)).astype(np.uint8)
    out = (14, 7, 23)
    mapping = map_shape(Geometry(labels.shape), out)
    result = resample_labels(labels, Resampling(mapping, separate_axis=axis))
    picks = (2 * np.arange(out[axis]) + 1) * labels.shape[axis] // (2 * out[axis])
    for k, pick in enumerate(picks):
        plane = labels.take([pick], axis)
        inner = tuple(1 if a == axis else length for a, length in enumerate(out))
        alone = resample_labels(plane, Resampling(map_shape(Geometry(plane.shape), inner)))
        np.testing.assert_array_equal(result.take([k], axis), alone)


@pytest.mark.parametrize(
    ("own", "target", "auto", "always"),
    [
        ((0.8, 0.8, 2.5), (1, 1, 1), 0, 0),
        ((0.8, 0.8, 2.4), (1, 1, 1), None, 0),  # 2.4 / 0.8 is not above 3
        ((1, 1, 3), (1, 1, 1), None, 0),
        ((5, 1, 1), (1, 1, 1), 2, 2),
        ((1, 4, 0.9), (1, 1, 4), 1, 1),
        ((1.25, 1.25, 0.24), (1, 1, 1), None, None),  # two share the coarsest
        ((1, 1, 1), (1, 1, 4), 0, None),  # the target's spacing decides
        ((1, 1, 2), (1, 5, 1), 1, 0),
        ((1, 1, 1), (4, 4, 1), None, None),
    ],
)
def test_the_rule(own, target, auto, always) -> None:
    geometry = Geometry((9, 9, 9), own)
    for rule, axis in (("never", None), ("auto", auto), ("always", always)):
        assert separate_axis(geometry, Resample(spacing=target, separate_z=rule)) == axis


def test_a_shape_decides_by_the_spacing_it_gives_and_no_target_by_nothing() -> None:
    geometry = Geometry((100, 20, 20), (1, 1, 1))
    assert separate_axis(geometry, Resample(shape=(20, 20, 25), separate_z="auto")) == 0
    assert separate_axis(geometry, Resample(shape=(20, 20, 50), separate_z="auto")) is None
    assert separate_axis(Geometry((9, 9, 9), (1, 1, 9)), Resample(separate_z="always")) is None


def test_without_a_change_along_the_axis_slices_stay_apart() -> None:
    array = volume((5, 20, 21))
    mapping = map_spacing(Geometry(array.shape, (1, 1, 4)), (1.5, 1.5, 4), "nnunet")
    whole = resample(array, Resampling(mapping, "cubic", separate_axis=0))
    for k in range(5):
        alone = resample(
            array[k : k + 1],
            Resampling(
                map_shape(Geometry((1, 20, 21)), (1, *mapping.shape[1:])),
                "cubic",
                clip_to=(array[k].min(), array[k].max()),
            ),
        )
        np.testing.assert_allclose(whole[k], alone[0], atol=1e-6 * np.ptp(array))
