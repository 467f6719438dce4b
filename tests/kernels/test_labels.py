"""The label kernels give the NumPy engine's labels, voxel for voxel."""

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import Resampling
from gpuprep.values.grids import GridMapping

SIZES = (1, 2, 3, 31, 32, 33, 255, 256, 257)
KINDS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


def label_map(shape: tuple[int, ...], kind: str = "u1", seed: int = 0) -> np.ndarray:
    """Many small structures with labels over the whole range of the dtype."""
    random = np.random.default_rng(seed)
    limits = np.iinfo(kind)
    names = np.array([0, 1, 2, 5, limits.min, limits.max, limits.max - 1], kind)
    coarse = random.integers(0, len(names), [-(-n // 2) for n in shape])
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return names[fine[: shape[0], : shape[1], : shape[2]]]


def assert_equal(engine: Engine, view, mapping: GridMapping, interpolation: str) -> None:
    expected = resample_labels(engine.to_host(view), Resampling(mapping, interpolation))
    result = engine.to_host(
        resample_labels_device(engine, view, Resampling(mapping, interpolation))
    )
    assert result.dtype == expected.dtype
    assert (result == expected).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_every_integer_type(engine: Engine, kind: str, interpolation: str) -> None:
    labels = engine.xp.asarray(label_map((11, 12, 13), kind))
    mapping = GridMapping((14, 9, 21), (0.75, 1.31, 0.6), (0.125, 0.2, -0.2))
    assert_equal(engine, labels, mapping, interpolation)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_every_length_of_every_axis(engine: Engine, size: int, interpolation: str) -> None:
    for axis in range(3):
        shape, out, scale = [4, 5, 6], [7, 4, 9], [0.5, 1.25, 0.7]
        shape[axis], out[axis], scale[axis] = size, max(1, 2 * size // 3), 1.5
        labels = engine.xp.asarray(label_map(tuple(shape), seed=axis))
        assert_equal(engine, labels, GridMapping(tuple(out), tuple(scale)), interpolation)


def test_only_native_integers_are_labels(engine: Engine) -> None:
    for kind in ("f4", ">i2", "?"):
        with pytest.raises(TypeError, match="native integers"):
            resample_labels_device(
                engine, np.zeros((2, 2, 2), kind), Resampling(GridMapping((2, 2, 2)), "nearest")
            )
