"""Slices resampled each by itself (nnU-Net's "separate z"), as the NumPy engine does it."""

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.profiles import slice_ranges_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Reorientation
from gpuprep.values.grids import GridMapping
from kernels.test_labels import label_map
from kernels.test_resample import assert_equal, voxels

SIZES = (1, 2, 3, 31, 32, 33, 255, 256, 257)
MAPPING = GridMapping((7, 19, 20), (1.3, 0.7, 1.9), (0.2, 0.1, -0.3))
TURNED = [
    Reorientation((0, 1, 2), (False, False, False)),
    Reorientation((2, 0, 1), (True, False, True)),
]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turned", TURNED, ids=["plain", "turned"])
@pytest.mark.parametrize("kind", ["i2", "i4", "f4", "f8", "u1"])
def test_every_axis_type_and_order(
    engine: Engine, axis: int, turned: Reorientation, kind: str
) -> None:
    view = turned.view(engine.xp.asarray(voxels((9, 14, 37), kind)))
    high = float(engine.to_host(view).max())
    for steps in ({}, {"prologue": ClipAffine(0.1 * high, 0.8 * high, 1.5, -20)}):
        for interpolation in ("cubic", "linear"):
            how = Resampling(MAPPING, interpolation, separate_axis=axis, **steps)
            assert_equal(engine, view, how)


@pytest.mark.parametrize("size", SIZES)
def test_results_stay_within_their_slice(engine: Engine, size: int) -> None:
    random = np.random.default_rng(size)
    levels = 1000.0 * np.arange(5)[:, None, None]
    steps = np.where(random.random((5, 6, size)) < 0.5, 0, 100)  # overshoots when interpolated
    array = (levels + steps).astype(np.int16)
    mapping = GridMapping((5, 9, size + 4), (1, 0.7, 0.8), (0, -0.3, 0.1))
    for axis, turned in ((0, array), (1, array.transpose(1, 0, 2)), (2, array.transpose(1, 2, 0))):
        move = [0, 1, 2] if axis == 0 else [1, 0, 2] if axis == 1 else [1, 2, 0]
        turned_mapping = GridMapping(
            *(tuple(row[k] for k in move) for row in (mapping.shape, mapping.scale, mapping.offset))
        )
        result = engine.to_host(
            resample_device(
                engine,
                engine.xp.asarray(turned),
                Resampling(turned_mapping, "cubic", separate_axis=axis),
            )
        )
        for k, plane in enumerate(np.moveaxis(result, axis, 0)):
            assert array[k].min() <= plane.min()
            assert plane.max() <= array[k].max()


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "f4", "f8"])
def test_the_ranges_of_slices(engine: Engine, kind: str) -> None:
    for size in SIZES:
        array = voxels((2, 257 if size == 3 else 3, size), kind)
        array[0, 0, 0] = -0.0
        for turned in TURNED:
            view = turned.view(engine.xp.asarray(array))
            host = engine.to_host(view)
            for axis in range(3):
                others = tuple(other for other in range(3) if other != axis)
                low, high = slice_ranges_device(engine, view, axis)
                assert (low == host.min(others)).all()
                assert (high == host.max(others)).all()


def test_a_slice_with_nan_is_refused(engine: Engine) -> None:
    array = voxels((4, 4, 5), "f4")
    for number in (np.float32(np.nan), -np.float32(np.nan)):
        array[1, 2, 3] = number
        with pytest.raises(ValueError, match="not all finite"):
            resample_device(
                engine,
                engine.xp.asarray(array),
                Resampling(GridMapping((4, 3, 3), (1, 1.3, 1.4)), "cubic", separate_axis=0),
            )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turned", TURNED, ids=["plain", "turned"])
def test_labels_slice_by_slice(engine: Engine, axis: int, turned: Reorientation) -> None:
    view = turned.view(engine.xp.asarray(label_map((9, 14, 33))))
    how = Resampling(MAPPING, separate_axis=axis)
    expected = resample_labels(engine.to_host(view), how)
    assert (engine.to_host(resample_labels_device(engine, view, how)) == expected).all()
