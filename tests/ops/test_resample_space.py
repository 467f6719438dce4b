"""Resampling in space: a ramp stays a ramp, unusable input is refused, memory is bounded by the output."""

import tracemalloc

import numpy as np
import pytest
import scipy.ndimage as ndimage

from gpuprep.ops.pointwise import ClipAffine, clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import Convention, map_shape, map_spacing

CONVENTIONS: tuple[Convention, ...] = ("centered", "nnunet", "monai", "torchio", "itk")


def ct(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """A volume with the range of a CT: smooth parts, edges and noise."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, shape), 2, mode="nearest")
    volume = np.where(smooth > 0, 900.0, -1000.0) + rng.normal(0, 60, shape)
    return np.clip(volume, -1024, 3071).astype(np.int16)


def test_a_ramp_in_space_stays_a_ramp() -> None:
    geometry = Geometry((30, 35, 40), (0.9, 0.7, 2.1), (-50, 20, 8))
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    weights = np.array([0.3, -0.7, 1.1])
    array = (geometry.index_to_physical(index) @ weights).astype(np.float32)
    for convention in CONVENTIONS:
        mapping = map_spacing(geometry, (1.3, 1.1, 1.4), convention)
        grid = mapping.on(geometry)
        inner = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
        expected = grid.index_to_physical(inner) @ weights
        source = inner * mapping.scale + mapping.offset
        inside = ((source >= 0) & (source <= np.array(geometry.shape) - 1)).all(-1)
        assert inside.mean() > 0.7
        result = resample(array, Resampling(mapping))
        assert np.abs(result - expected)[inside].max() < 1e-4


def test_unusable_input_is_refused() -> None:
    array = ct((4, 5, 6)).astype(np.float32)
    mapping = map_shape(Geometry(array.shape), (3, 3, 3))
    with pytest.raises(ValueError, match="3-D"):
        resample(array[0], Resampling(mapping))
    with pytest.raises(ValueError, match="out has shape"):
        resample(array, Resampling(mapping), out=np.empty((2, 2, 2), np.float32))
    for bad in (np.nan, np.inf):
        array[1, 2, 3] = bad
        with pytest.raises(ValueError, match="replace NaN"):
            resample(array, Resampling(mapping))
    array[1, 2, 3] = np.inf  # clipped before it can spread
    assert resample(array, Resampling(mapping, prologue=ClipAffine(-100, 100))).max() <= 100.0001


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("shape", [(200, 160, 160), (64, 300, 260)])
def test_memory_is_bounded_by_the_output(shape, interpolation) -> None:
    array = np.resize(ct((20, 20, 20)), shape)
    mapping = map_shape(Geometry(shape), tuple(int(n * 0.9) for n in shape))
    how = Resampling(mapping, interpolation, prologue=clip(-1000, 900))
    resample(array, how, dtype=np.float16)  # fills the table cache
    tracemalloc.start()
    result = resample(array, how, dtype=np.float16, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * result.size + 2**24  # the output's own 2 bytes included; 16 MiB for strips
