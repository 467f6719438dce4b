"""A volume computed part by part, each from the slices it needs, has the bytes of the whole."""

import itertools

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.sampling import Part, needed_slices
from gpuprep.ops.device.target import chunked
from gpuprep.ops.gather import memory_order
from gpuprep.ops.pointwise import ClipAffine
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


def in_parts(array: np.ndarray, stops: tuple[int, ...], mapping: GridMapping, **sampling):
    """Yields (part, index of the input slices it needs) along the slowest axis, scaled to the stops."""
    axis = memory_order(array)[0]
    edges = sorted({stop * mapping.shape[axis] // stops[-1] for stop in stops})
    for start, stop in itertools.pairwise(edges):
        part = Part(array.shape, axis, start, stop)
        index = [slice(None)] * 3
        index[axis] = needed_slices(part, mapping, **sampling)
        yield part, tuple(index)


def measured(array: np.ndarray, axis: int | None) -> dict:
    z, y, x = (slice(None, None, max(1, n - 1)) for n in array.shape)
    known = {"value_range": (float(array.min()), float(array.max())), "corners": array[z, y, x]}
    if axis is not None:
        others = tuple(other for other in range(3) if other != axis)
        known["slice_ranges"] = array.min(others), array.max(others)
    return known


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
    steps = {"prologue": ClipAffine(100, 3900, 0.01, -2), "dtype": "f2"}
    for separate in (None, 0, 2):
        sampling = {"interpolation": interpolation, "separate_axis": separate}
        whole = engine.to_host(resample_device(engine, view, mapping, **sampling, **steps))
        known = measured(host, separate)
        for part, index in in_parts(view, stops, mapping, **sampling):
            result = resample_device(
                engine, view[index], mapping, **sampling, **steps, **known, part=part
            )
            expected = whole.swapaxes(0, part.axis)[part.start : part.stop].swapaxes(0, part.axis)
            assert (engine.to_host(result) == expected).all()


def test_antialiased_parts_and_one_slice_slabs(engine: Engine) -> None:
    view = engine.xp.asarray(voxels((40, 9, 33), "f4"))
    mapping = GridMapping((9, 4, 12), (4.4, 2.3, 2.7), (0.2, 0.1, 0.3))
    sampling = {"interpolation": "cubic", "antialias": True, "boundary": "mirror"}
    whole = engine.to_host(resample_device(engine, view, mapping, **sampling))
    known = measured(engine.to_host(view), None)
    for part, index in in_parts(view, tuple(range(10)), mapping, **sampling):
        slab = engine.xp.asarray(engine.to_host(view)[index])  # as uploaded: contiguous
        result = resample_device(engine, slab, mapping, **sampling, **known, part=part)
        assert (engine.to_host(result) == whole[part.start : part.stop]).all()


def test_corners_read_on_the_device_are_all_eight(engine: Engine) -> None:
    array = voxels((7, 8, 9), "f4")
    array[::6, ::7, ::8] = np.random.default_rng(1).uniform(0, 4000, (2, 2, 2))
    array[0, 0, 0] = array[-1, -1, -1] = -3.7  # two that agree are no background
    mapping = GridMapping((5, 6, 7), (1.4, 1.3, 1.2), (0.1, 0.2, 0.3))
    view = engine.xp.asarray(array)
    found = engine.to_host(resample_device(engine, view, mapping))
    given = engine.to_host(resample_device(engine, view, mapping, **measured(array, None)))
    assert (found == given).all()


@pytest.mark.parametrize("turned", TURNED, ids=["plain", "turned"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_labels_in_parts(engine: Engine, turned: Reorientation, interpolation: str) -> None:
    view = turned.view(engine.xp.asarray(label_map((11, 13, 21))))
    for scale in SCALES:
        mapping = GridMapping((10, 12, 23), scale, (0.2, 0.0, -0.3))
        for separate in (None, 1):
            sampling = {"interpolation": interpolation, "separate_axis": separate}
            whole = engine.to_host(resample_labels_device(engine, view, mapping, **sampling))
            for part, index in in_parts(view, (0, 1, 9, 23), mapping, **sampling):
                result = resample_labels_device(engine, view[index], mapping, **sampling, part=part)
                rows = whole.swapaxes(0, part.axis)[part.start : part.stop]
                assert (engine.to_host(result) == rows.swapaxes(0, part.axis)).all()


def test_parts_ask_for_no_more_slices_than_they_need() -> None:
    mapping = GridMapping((20, 5, 5), (2.0, 1, 1))
    part = Part((40, 5, 5), 0, 5, 10)
    assert needed_slices(part, mapping, interpolation="nearest") == slice(10, 19)
    needed = needed_slices(part, mapping, interpolation="cubic")
    assert needed.start > 0
    assert needed.stop < 40


def test_parts_that_lie_elsewhere_are_refused(engine: Engine) -> None:
    view = engine.xp.asarray(voxels((8, 9, 10)))
    mapping = GridMapping((4, 5, 6), (2.1, 2.0, 1.9))
    with pytest.raises(ValueError, match=r"the part needs slices 2 … 5"):
        resample_device(engine, view, mapping, part=Part((8, 9, 10), 0, 1, 3))
    for start, stop in ((0, 5), (2, 2), (-1, 2)):
        with pytest.raises(ValueError, match="are not in a grid of 4"):
            needed_slices(Part((8, 9, 10), 0, start, stop), mapping)
    with pytest.raises(ValueError, match="does not know"):
        resample_device(engine, view[2:6], mapping, part=Part((8, 9, 10), 0, 1, 3))


@pytest.mark.parametrize("chunk", [2, 3, 16, 32, 48])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_chunks_hold_the_plain_result(engine: Engine, chunk: int, interpolation: str) -> None:
    array = voxels((9, 14, 37))
    mapping = GridMapping((7, 48, 61), (1.3, 0.3, 0.6), (0.2, 0.1, -0.3))
    for dtype in ("f4", "f2", "i2"):
        for turned in TURNED:
            view = turned.view(engine.xp.asarray(array))
            options = {"interpolation": interpolation, "dtype": dtype}
            plain = engine.to_host(resample_device(engine, view, mapping, **options))
            result = resample_device(engine, view, mapping, **options, chunk=chunk)
            assert_chunks(engine.to_host(result), plain, chunk)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_label_chunks_hold_the_plain_labels(engine: Engine, interpolation: str) -> None:
    labels = engine.xp.asarray(label_map((11, 12, 33), "u2"))
    mapping = GridMapping((14, 32, 51), (0.75, 0.4, 0.6), (0.125, 0.2, -0.2))
    options = {"interpolation": interpolation}
    plain = engine.to_host(resample_labels_device(engine, labels, mapping, **options))
    for chunk in (16, 48):
        out = engine.xp.empty(chunked(mapping.shape, chunk), np.uint16)
        resample_labels_device(engine, labels, mapping, **options, chunk=chunk, out=out)
        assert_chunks(engine.to_host(out), plain, chunk)


def test_constants_and_wrong_chunks(engine: Engine) -> None:
    array = engine.xp.asarray(voxels((4, 5, 6)))
    mapping = GridMapping((3, 4, 5), (1.3, 1.2, 1.1))
    constant = {"epilogue": ClipAffine(scale=0.0, offset=7.0)}
    for interpolation in ("nearest", "linear"):
        result = resample_device(
            engine, array, mapping, interpolation=interpolation, **constant, chunk=2
        )
        assert_chunks(engine.to_host(result), np.full((3, 4, 5), 7.0), 2)
    with pytest.raises(ValueError, match="chunks of 1"):
        resample_device(engine, array, mapping, chunk=1)
    with pytest.raises(ValueError, match="out has shape"):
        resample_device(engine, array, mapping, chunk=2, out=engine.xp.empty((3, 4, 5), np.float32))


def assert_chunks(result: np.ndarray, plain: np.ndarray, chunk: int) -> None:
    """Padded with zeros to whole chunks and put back together, they are the plain array."""
    padded = np.pad(plain, [(0, -n % chunk) for n in plain.shape])
    together = result.transpose(0, 3, 1, 4, 2, 5).reshape(padded.shape)
    assert (together == padded).all()
