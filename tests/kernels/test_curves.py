"""Curves on a device against NumPy's: alone, within a mask, before every kind of resampling, in parts."""

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.curve import Curve
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.device.pointwise import masked_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.statistics import measure
from gpuprep.ops.table import Table
from gpuprep.values.geometry import Reorientation
from gpuprep.values.grids import GridMapping
from kernels.test_resample import KINDS, voxels

KNOTS = {
    "few": np.array([-90.0, -3.0, 4.5, 100.0]),
    "many": np.linspace(-110, 120, 301),
    "crowded": np.linspace(0, 1, 301) ** 3 * 200 - 80,
}
TURNED = Reorientation((2, 0, 1), (True, False, True))


def made(knots: str, *, hold: bool = True) -> Curve:
    x = KNOTS[knots]
    rises = np.random.default_rng(5).random(len(x)) ** 4
    table = Table(tuple(x.tolist()), tuple(np.cumsum(rises).tolist()))
    ends = table.x[0] + 7.3, table.x[-1] - 9.1
    return Curve(table, *ends, -2.0, 1.5) if hold else Curve(table)


def off(found: np.ndarray, expected: np.ndarray, step: Curve) -> float:
    """The largest difference, as a share of what the curve can give within the voxels' range."""
    return float(abs(found - expected.astype(np.float64)).max() / np.ptp(step.bounds(-128, 4000)))


@pytest.mark.parametrize("knots", KNOTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_type(engine: Engine, kind: str, knots: str) -> None:
    array = voxels((5, 9, 140), kind)
    host, view = (TURNED.view(each) for each in (array, engine.xp.asarray(array)))
    for step in (made(knots), made(knots, hold=False)):
        found = engine.to_host(curved_device(engine, view, step))
        assert found.dtype == np.float32
        assert off(found, step.apply(host, np.float64), step) <= 2e-6


def test_what_is_not_finite(engine: Engine) -> None:
    step, array = made("few"), np.zeros((1, 2, 4), np.float32)
    array[0, 0, :3] = np.nan, np.inf, -np.inf
    found = engine.to_host(curved_device(engine, engine.xp.asarray(array), step))
    assert np.isnan(found[0, 0, :3]).all()
    assert (found[0, 1] == step.apply(array)[0, 1]).all()
    mask = np.ones(array.shape, bool)
    mask[0, 1, 2] = False
    given = engine.xp.asarray(array), engine.xp.asarray(mask)
    found = engine.to_host(masked_device(engine, *given, step))
    assert (found[0, 0, :3] == 0).all()
    assert found[0, 1, 2] == 0
    assert found[0, 1, 1] == step.apply(array)[0, 1, 1]


@pytest.mark.parametrize("kind", ["i2", "f4"])
@pytest.mark.parametrize(
    ("interpolation", "separate"),
    [("nearest", None), ("linear", None), ("cubic", None), ("cubic", 0)],
)
def test_before_the_mixing(
    engine: Engine, kind: str, interpolation: str, separate: int | None
) -> None:
    array, step = voxels((8, 33, 40), kind), made("few").then(ClipAffine(scale=3.0))
    assert isinstance(step, Curve)
    how = Resampling(
        GridMapping((6, 40, 30), (8 / 6, 33 / 40, 40 / 30), (0.1, 0.0, 0.2)),
        interpolation,
        separate_axis=separate,
        prologue=step,
        epilogue=ClipAffine(scale=0.5),
        clip_to=step.bounds(),
    )
    view = engine.xp.asarray(array)
    for dtype in (np.float32, np.float16):
        expected = resample(array, how, dtype=dtype)
        found = engine.to_host(resample_device(engine, view, how, dtype=dtype))
        assert off(found, expected, step) <= (2e-6 if dtype == np.float32 else 1e-3)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_statistics_after_a_curve(engine: Engine, kind: str) -> None:
    array = np.random.default_rng(0).normal(0, 60, (4, 30, 31)).astype(kind)
    array[0, 0, :2] = np.nan, np.inf
    mask = array > -30
    host = measure(array, mask)
    found = measure_device(engine, engine.xp.asarray(array), engine.xp.asarray(mask))
    for step in (made("many"), ClipAffine(-50, 50, 2.0, 1.0)):
        size = np.ptp(step.bounds(-300, 300))
        for one, other in zip(found.moments_after(step), host.moments_after(step), strict=True):
            assert abs(one - other) <= 2e-6 * size
        counted = [each.histogram_after(step, 16, step.bounds(-50, 60)) for each in (found, host)]
        assert counted[0].sum() == counted[1].sum() == host.count
        assert abs(counted[0] - counted[1]).max() <= 1  # float32 may round over a bin's end
