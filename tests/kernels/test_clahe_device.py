"""CLAHE on a device: the bits that NumPy makes."""

import numpy as np
import pytest

import gpuprep.ops.device.clahe as launches
from gpuprep.kernels.loader import Engine
from gpuprep.ops.clahe import clahe
from gpuprep.ops.device.clahe import clahe_device
from gpuprep.values.geometry import Reorientation
from kernels.test_resample import KINDS, voxels

TURNED = Reorientation((2, 0, 1), (True, False, True))
ROOMS = [  # shape, tile, clip limit, bins
    ((9, 14, 150), (4, 5, 37), 0.01, 256),
    ((9, 14, 150), (9, 14, 150), 0.0, 256),
    ((8, 12, 40), (2, 3, 5), 0.15, 17),
    (
        (1, 5, 6),
        (3, 2, 9),
        0.3,
        2,
    ),  # tiles beyond the end of their axes, and one voxel led back to itself
    ((33, 4, 5), (1, 1, 1), 1.0, 200),
]


def assert_equal(engine: Engine, array: np.ndarray, tile, ends, limit=0.01, bins=256) -> None:
    wanted = clahe(array, tile, ends, clip_limit=limit, bins=bins)
    given = engine.xp.asarray(array)
    found = clahe_device(engine, given, tile, ends, clip_limit=limit, bins=bins)
    assert found.flags.c_contiguous
    assert found.dtype == np.float32
    np.testing.assert_array_equal(engine.to_host(found), wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_and_order(engine: Engine, kind: str) -> None:
    array = voxels((7, 10, 131), kind)
    ends = float(array.min()) + 0.25, float(array.max()) * 0.9
    assert_equal(engine, array, (3, 4, 50), ends)
    view, host = TURNED.view(engine.xp.asarray(array)), TURNED.view(array)
    found = clahe_device(engine, view, (50, 3, 4), ends)
    np.testing.assert_array_equal(engine.to_host(found), clahe(host, (50, 3, 4), ends))


@pytest.mark.parametrize(("shape", "tile", "limit", "bins"), ROOMS)
def test_every_tile_and_limit(engine: Engine, shape, tile, limit, bins) -> None:
    array = voxels(shape)
    air = np.where(
        np.indices(shape).sum(0) % 7 < 5, np.int16(0), array
    )  # a bin far above the limit
    for given in (array, air, array.astype(np.float32) / 3):
        assert_equal(engine, given, tile, (0.0, 4000.0), limit, bins)


def test_what_is_no_number_and_what_lies_beyond_the_ends(engine: Engine) -> None:
    array = np.random.default_rng(0).random((6, 7, 8))
    array[0, 0, :4] = np.nan, -np.inf, np.inf, 1e300
    for kind in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            assert_equal(engine, array.astype(kind), (3, 3, 3), (0.2, 0.8))


def test_more_tiles_than_the_grid_and_more_voxels_than_a_block(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "MOST_GRID", 2)
    monkeypatch.setattr(launches, "_SHARE", 300)
    monkeypatch.setattr(launches, "_MOST_BLOCKS", 2)
    assert_equal(engine, voxels((9, 14, 150)), (4, 5, 37), (0.0, 4000.0))


def test_what_gives_no_histogram_is_refused(engine: Engine) -> None:
    array = engine.xp.asarray(voxels((2, 2, 2)))
    for tile, ends, bins in (((0, 1, 1), (0, 1), 256), ((1, 1, 1), (1, 1), 2)):
        with pytest.raises(ValueError, match="give no histograms"):
            clahe_device(engine, array, tile, ends, bins=bins)
    with pytest.raises(ValueError, match="too large for the kernels"):
        clahe_device(engine, array, (1 << 11, 1 << 10, 1 << 10), (0, 1))
