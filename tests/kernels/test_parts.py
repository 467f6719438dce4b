"""A volume computed part by part, each from the slices it needs, has the bytes of the whole."""

import itertools

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.resample import Whole, resample_device
from gpuprep.ops.device.sampling import Part
from gpuprep.ops.gather import memory_order
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Reorientation
from gpuprep.values.grids import GridMapping
from kernels.test_labels import label_map
from kernels.test_resample import voxels

CUTS = [(0, 1, 22, 23), (0, 7, 9, 16, 23), tuple(range(24))]
TURNED = [
    Reorientation((0, 1, 2), (False, False, False)),
    Reorientation((2, 0, 1), (True, True, False)),
]
SCALES = [(1.3, 0.7, 1.9), (1.0, 1.0, 1.7), (0.5, 1.5, 1.0), (1.0, 1.0, 1.0)]


def in_parts(array: np.ndarray, stops: tuple[int, ...], how: Resampling):
    """Yields (part, index of the input slices it needs) along the slowest axis, scaled to the stops."""
    axis = memory_order(array)[0]
    edges = sorted({stop * how.mapping.shape[axis] // stops[-1] for stop in stops})
    for start, stop in itertools.pairwise(edges):
        part = Part(array.shape, axis, start, stop)
        index = [slice(None)] * 3
        index[axis] = part.inputs(how)
        yield part, tuple(index)


def measured(array: np.ndarray, axis: int | None) -> Whole:
    z, y, x = (slice(None, None, max(1, n - 1)) for n in array.shape)
    others = tuple(other for other in range(3) if other != axis)
    slices = None if axis is None else (array.min(others), array.max(others))
    return Whole((float(array.min()), float(array.max())), array[z, y, x], slices)


@pytest.mark.parametrize("stops", CUTS, ids=lambda stops: f"{len(stops) - 1} parts")
@pytest.mark.parametrize("turned", TURNED, ids=["plain", "turned"])
@pytest.mark.parametrize("scale", SCALES, ids=str)
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_any_cut_gives_the_same_bytes(
    engine: Engine, stops: tuple[int, ...], turned: Reorientation, scale, interpolation: str
) -> None:
    view = turned.view(engine.xp.asarray(voxels((11, 13, 21), "i2")))
    host = engine.to_host(view)
    mapping = GridMapping((10, 12, 23), scale, (0.2, 0.0, -0.3))
    step = ClipAffine(100, 3900, 0.01, -2)
    for separate in (None, 0, 2):
        how = Resampling(mapping, interpolation, separate_axis=separate, prologue=step)
        whole = engine.to_host(resample_device(engine, view, how, dtype="f2"))
        known = measured(host, separate)
        for part, index in in_parts(view, stops, how):
            result = resample_device(engine, view[index], how, dtype="f2", part=part, whole=known)
            expected = whole.swapaxes(0, part.axis)[part.start : part.stop].swapaxes(0, part.axis)
            assert (engine.to_host(result) == expected).all()


def test_antialiased_parts_and_one_slice_slabs(engine: Engine) -> None:
    view = engine.xp.asarray(voxels((40, 9, 33), "f4"))
    mapping = GridMapping((9, 4, 12), (4.4, 2.3, 2.7), (0.2, 0.1, 0.3))
    how = Resampling(mapping, "cubic", "mirror", antialias=True)
    whole = engine.to_host(resample_device(engine, view, how))
    known = measured(engine.to_host(view), None)
    for part, index in in_parts(view, tuple(range(10)), how):
        slab = engine.xp.asarray(engine.to_host(view)[index])  # as uploaded: contiguous
        result = resample_device(engine, slab, how, part=part, whole=known)
        assert (engine.to_host(result) == whole[part.start : part.stop]).all()


def test_corners_read_on_the_device_are_all_eight(engine: Engine) -> None:
    array = voxels((7, 8, 9), "f4")
    array[::6, ::7, ::8] = np.random.default_rng(1).uniform(0, 4000, (2, 2, 2))
    array[0, 0, 0] = array[-1, -1, -1] = -3.7  # two that agree are no background
    mapping = GridMapping((5, 6, 7), (1.4, 1.3, 1.2), (0.1, 0.2, 0.3))
    view = engine.xp.asarray(array)
    found = engine.to_host(resample_device(engine, view, Resampling(mapping)))
    known = measured(array, None)
    given = engine.to_host(resample_device(engine, view, Resampling(mapping), whole=known))
    assert (found == given).all()


@pytest.mark.parametrize("turned", TURNED, ids=["plain", "turned"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_labels_in_parts(engine: Engine, turned: Reorientation, interpolation: str) -> None:
    view = turned.view(engine.xp.asarray(label_map((11, 13, 21))))
    for scale in SCALES:
        mapping = GridMapping((10, 12, 23), scale, (0.2, 0.0, -0.3))
        for separate in (None, 1):
            how = Resampling(mapping, interpolation, separate_axis=separate)
            whole = engine.to_host(resample_labels_device(engine, view, how))
            for part, index in in_parts(view, (0, 1, 9, 23), how):
                result = resample_labels_device(engine, view[index], how, part=part)
                rows = whole.swapaxes(0, part.axis)[part.start : part.stop]
                assert (engine.to_host(result) == rows.swapaxes(0, part.axis)).all()


def test_parts_ask_for_no_more_slices_than_they_need() -> None:
    mapping = GridMapping((20, 5, 5), (2.0, 1, 1))
    part = Part((40, 5, 5), 0, 5, 10)
    assert part.inputs(Resampling(mapping, "nearest")) == slice(10, 19)
    needed = part.inputs(Resampling(mapping, "cubic"))
    assert needed.start > 0
    assert needed.stop < 40


def test_parts_that_lie_elsewhere_are_refused(engine: Engine) -> None:
    view = engine.xp.asarray(voxels((8, 9, 10)))
    mapping = GridMapping((4, 5, 6), (2.1, 2.0, 1.9))
    with pytest.raises(ValueError, match=r"the part needs slices 2 … 5"):
        resample_device(engine, view, Resampling(mapping), part=Part((8, 9, 10), 0, 1, 3))
    for start, stop in ((0, 5), (2, 2), (-1, 2)):
        with pytest.raises(ValueError, match="are not in a grid of 4"):
            Part((8, 9, 10), 0, start, stop).inputs(Resampling(mapping))
    with pytest.raises(ValueError, match="does not know"):
        resample_device(engine, view[2:6], Resampling(mapping), part=Part((8, 9, 10), 0, 1, 3))


@pytest.mark.parametrize("chunk", [2, 3, 16, 32, 48])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_chunks_hold_the_plain_result(engine: Engine, chunk: int, interpolation: str) -> None:
    array = voxels((9, 14, 37))
    mapping = GridMapping((7, 48, 61), (1.3, 0.3, 0.6), (0.2, 0.1, -0.3))
    for dtype in ("f4", "f2", "i2"):
        for turned in TURNED:
            view = turned.view(engine.xp.asarray(array))
            how = Resampling(mapping, interpolation)
            plain = engine.to_host(resample_device(engine, view, how, dtype=dtype))
            result = resample_device(engine, view, how, dtype=dtype, chunk=chunk)
            assert_chunks(engine.to_host(result), plain, chunk)


def test_constants_and_wrong_chunks(engine: Engine) -> None:
    array = engine.xp.asarray(voxels((4, 5, 6)))
    mapping = GridMapping((3, 4, 5), (1.3, 1.2, 1.1))
    constant = ClipAffine(scale=0.0, offset=7.0)
    for interpolation in ("nearest", "linear"):
        how = Resampling(mapping, interpolation, epilogue=constant)
        result = resample_device(engine, array, how, chunk=2)
        assert_chunks(engine.to_host(result), np.full((3, 4, 5), 7.0), 2)
    with pytest.raises(ValueError, match="chunks of 1"):
        resample_device(engine, array, Resampling(mapping), chunk=1)


def assert_chunks(result: np.ndarray, plain: np.ndarray, chunk: int) -> None:
    """Padded with zeros to whole chunks and put back together, they are the plain array."""
    padded = np.pad(plain, [(0, -n % chunk) for n in plain.shape])
    together = result.transpose(0, 3, 1, 4, 2, 5).reshape(padded.shape)
    assert (together == padded).all()
