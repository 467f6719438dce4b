"""Foreground masks, crop boxes and cleaning against the NumPy engine."""

import math

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.crop import find_box
from gpuprep.ops.device import arguments
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.pointwise import (
    cleaned_device,
    find_mask_device,
    marked_device,
    masked_device,
)
from gpuprep.ops.device.profiles import find_box_device, slice_ranges_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import IDENTITY, ClipAffine
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.geometry import Reorientation
from gpuprep.values.grids import GridMapping
from kernels.test_labels import KINDS as LABEL_KINDS
from kernels.test_labels import label_map
from kernels.test_resample import KINDS, voxels

SIZES = (1, 2, 3, 31, 32, 33, 255, 256, 257)
TURNED = [
    Reorientation((0, 1, 2), (False, False, False)),
    Reorientation((2, 0, 1), (True, False, True)),
]


def sparse(shape: tuple[int, ...], kind: str, seed: int = 0) -> np.ndarray:
    """Zeros with a few voxels of either sign where the type has one."""
    random = np.random.default_rng(seed)
    signs = np.array([1] if np.dtype(kind).kind in "ub" else [1, -1])
    hits = random.random(shape) < 3 / max(8, math.prod(shape))
    return (hits * random.choice(signs, shape)).astype(kind)


@pytest.mark.parametrize("kind", sorted({*KINDS, *LABEL_KINDS}))
def test_boxes_and_masks_of_every_type(engine: Engine, kind: str) -> None:
    for seed, turned in enumerate(TURNED):
        arrays = [sparse((9, 12, 40), kind, seed + 5 * k) for k in range(2)]
        hosts = [turned.view(array) for array in arrays]
        views = [engine.xp.asarray(hosts[0]), turned.view(engine.xp.asarray(arrays[1]))]
        assert find_box_device(engine, views) == find_box(hosts)
        assert find_box_device(engine, views, 0) == find_box(hosts, 0)
        mask = engine.to_host(find_mask_device(engine, views))
        assert mask.dtype == np.uint8
        assert (mask == ((hosts[0] != 0) | (hosts[1] != 0))).all()
        mask = engine.to_host(find_mask_device(engine, views, 0))
        assert (mask == ((hosts[0] > 0) | (hosts[1] > 0))).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_of_every_type(engine: Engine, kind: str) -> None:
    array = voxels((3, 260, 140) if kind == "i2" else (7, 30, 40), kind)
    array[:, :3] = 0
    for turned in TURNED:
        view = turned.view(engine.xp.asarray(array))
        host = engine.to_host(view)
        for threshold in (0, 0.5, float(host.max()) * 0.61):
            for fraction in (0.02, 0.9):
                box = find_box([host], threshold, fraction)
                assert find_box_device(engine, [view], threshold, fraction) == box
            mask = engine.to_host(find_mask_device(engine, [view], threshold))
            assert (mask == (host > threshold)).all()


@pytest.mark.parametrize("size", SIZES)
def test_boxes_of_every_length(engine: Engine, size: int) -> None:
    for axis in range(3):
        shape = [2, 3, 4]
        shape[axis] = size
        array = sparse(tuple(shape), "i2", seed=size)
        view = engine.xp.asarray(array)
        assert find_box_device(engine, [view]) == find_box([array])
        assert find_box_device(engine, [view[..., ::-1]]) == find_box([array[..., ::-1]])
        assert (engine.to_host(find_mask_device(engine, [view])) == (array != 0)).all()


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_nan_and_infinities_are_outside_of_everything(engine: Engine, kind: str) -> None:
    array = sparse((9, 12, 40), kind, seed=1)
    array[:2], array[2, 3, :9], array[8] = np.nan, np.inf, -np.inf
    array[4, 5, 6] = 3
    second = np.full_like(array, np.nan)
    second[3, 2, 1], second[0] = 7, np.inf
    for turned in TURNED:
        hosts = [turned.view(array), turned.view(second)]
        views = [engine.xp.asarray(host) for host in hosts]
        for above, counts in ((None, lambda v: v != 0), (-1.0, lambda v: v > -1)):
            inside = np.any([np.isfinite(host) & counts(host) for host in hosts], axis=0)
            mask = engine.to_host(find_mask_device(engine, views, above))
            assert (mask == inside).all()
            assert find_box_device(engine, views, above) == find_box([inside])
        step = ClipAffine(-2, 2, 3, 1)
        result = engine.to_host(masked_device(engine, views[0], views[0] == views[0], step))
        assert (result == np.where(np.isfinite(hosts[0]), step.apply(hosts[0]), 0)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_zero_outside_the_mask(engine: Engine, kind: str) -> None:
    array, mask = voxels((9, 14, 37), kind), voxels((9, 14, 37), "?", seed=3)
    for turned in TURNED:
        for step in (IDENTITY, ClipAffine(0.1 * array.max(), 0.7 * array.max(), -0.37, 5)):
            view = turned.view(engine.xp.asarray(array))
            flags = engine.xp.asarray(turned.view(mask))
            result = engine.to_host(masked_device(engine, view, flags, step))
            expected = step.apply(turned.view(array)) * turned.view(mask)
            assert result.dtype == np.float32
            assert (result == expected).all()


@pytest.mark.parametrize("kind", ["i1", "i2", "i4"])
def test_background_outside_the_mask_gets_a_value(engine: Engine, kind: str) -> None:
    labels, mask = label_map((9, 14, 37)).astype(kind), voxels((9, 14, 37), "?", seed=3)
    labels[:, ::2] = 0
    for turned in TURNED:
        view = turned.view(engine.xp.asarray(labels))
        flags = engine.xp.asarray(turned.view(mask))
        result = engine.to_host(marked_device(engine, view, flags, -1))
        host = turned.view(labels)
        assert result.dtype == labels.dtype
        assert (result == np.where((host == 0) & ~turned.view(mask), -1, host)).all()


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_cleaning_is_nan_to_num(engine: Engine, kind: str) -> None:
    array = voxels((5, 6, 33), kind)
    array[0, 0, :9] = np.nan
    array[1, 2, 3:6] = np.inf
    array[4, :, 6] = -np.inf
    for turned in TURNED:
        result = cleaned_device(engine, turned.view(engine.xp.asarray(array)), -1.5, 7.25, 0.1)
        expected = np.nan_to_num(turned.view(array), nan=-1.5, posinf=7.25, neginf=0.1)
        assert result.dtype == array.dtype
        assert (engine.to_host(result) == expected).all()


def test_axes_beyond_the_largest_grid_are_looped_over(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "MOST_GRID", 2)
    array = voxels((5, 7, 33))
    array[:2] = 0
    labels = label_map((5, 700, 5))
    view, marks = engine.xp.asarray(array), engine.xp.asarray(labels)
    assert find_box_device(engine, [view], 900, 0.02) == find_box([array], 900, 0.02)
    assert find_box_device(engine, [marks], 0) == find_box([labels], 0)
    assert (engine.to_host(find_mask_device(engine, [view], 900)) == (array > 900)).all()
    assert (slice_ranges_device(engine, marks, 0)[1] == labels.max((1, 2))).all()
    mapping = GridMapping((7, 9, 40), (0.7, 0.8, 0.8))
    for interpolation in ("nearest", "linear"):
        result = resample_device(engine, view, Resampling(mapping, interpolation))
        expected = resample(array, Resampling(mapping, interpolation))
        assert np.abs(engine.to_host(result) - expected).max() < 0.01
        result = resample_labels_device(engine, marks, Resampling(mapping, interpolation))
        expected = resample_labels(labels, Resampling(mapping, interpolation))
        assert (engine.to_host(result) == expected).all()


def test_wrong_questions_are_refused(engine: Engine) -> None:
    array, labels = engine.xp.zeros((3, 4, 5), np.int16), engine.xp.zeros((3, 4, 5), np.uint8)
    with pytest.raises(ValueError, match="mask of shape"):
        masked_device(engine, array, labels[1:], IDENTITY)
    with pytest.raises(ValueError, match="mask of shape"):
        marked_device(engine, array, labels[1:], -1)
    with pytest.raises(TypeError, match="signed type"):
        marked_device(engine, labels, labels, -1)
    with pytest.raises(TypeError, match="kernels read"):
        find_mask_device(engine, [engine.xp.zeros((3, 4, 5), np.float16)])
    with pytest.raises(TypeError, match="only float32"):
        cleaned_device(engine, array, 0, 0, 0)
