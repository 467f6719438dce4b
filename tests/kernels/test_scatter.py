"""Boxes of decoded chunks laid out as patches, against the same with NumPy's slices."""

import itertools

import numpy as np
import pytest

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.scatter import BOX_FIELDS, PADDING, ZEROS, convert_device, scatter_device

KINDS = ["i1", "u1", "i2", "f2", "u4", "f4", "i8", "f8"]
GAP = 3  # voxels between one chunk and the next


def assert_scattered(
    engine: Engine, kind: str, *, chunk: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    """Two patches, each out of overlaps with chunks at an odd place; some are missing, some padding."""
    random = np.random.default_rng(sum(chunk) + 7 * sum(patch))
    dtype, size = np.dtype(kind), int(np.prod(chunk))
    corners = [
        [
            range(-random.integers(step), extent, step)
            for extent, step in zip(patch, chunk, strict=True)
        ]
        for _ in range(2)
    ]
    places = [(n, at) for n, axes in enumerate(corners) for at in itertools.product(*axes)]
    decoded = random.integers(1, 256, len(places) * (size + GAP) * dtype.itemsize).astype(np.uint8)
    padding = np.array([77]).astype(dtype)
    expected = np.empty((2, *patch), dtype)
    rows = []
    for number, (sample, at) in enumerate(places):
        low = np.maximum(at, 0)
        high = np.minimum(np.add(at, chunk), patch)
        first = number * (size + GAP)
        block = decoded.view(dtype)[first : first + size].reshape(chunk)
        kept = tuple(slice(a - o, b - o) for a, b, o in zip(low, high, at, strict=True))
        source = (first + int(np.ravel_multi_index(low - at, chunk)), ZEROS, PADDING)[
            number % 7 % 3
        ]
        voxels = {ZEROS: np.zeros_like(block), PADDING: np.broadcast_to(padding, chunk)}
        target = (sample, *map(slice, low, high))
        expected[target] = voxels.get(source, block)[kept]
        rows.append(
            {
                "source": source,
                "target": int(np.ravel_multi_index((sample, *low), expected.shape)),
                "source_slice": chunk[1] * chunk[2],
                "source_row": chunk[2],
                **dict(zip(("slices", "rows", "columns"), high - low, strict=True)),
                "unused": 0,
            }
        )
    boxes = np.array([[row[name] for name in BOX_FIELDS] for row in rows], np.int64)
    out = engine.xp.empty(expected.shape, dtype)
    on_device = engine.xp.asarray(decoded), engine.xp.asarray(boxes)
    scatter_device(engine, *on_device, out, padding)
    assert engine.to_host(out).tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [(1, 1, 1), (3, 5, 7), (8, 8, 8), (2, 3, 65)])
def test_every_type_and_odd_strides(engine: Engine, kind: str, chunk: tuple[int, ...]) -> None:
    for patch in ((1, 1, 1), (5, 4, 9), (9, 17, 33)):
        if np.prod(patch) < 2000 * np.prod(chunk):
            assert_scattered(engine, kind, chunk=chunk, patch=patch)


@pytest.mark.parametrize("edge", [16, 32])
def test_whole_chunks(engine: Engine, edge: int) -> None:
    assert_scattered(engine, "f2", chunk=(edge,) * 3, patch=(40, 40, 40))


def test_more_boxes_than_a_grid_has_blocks(engine: Engine) -> None:
    assert_scattered(engine, "u1", chunk=(1, 1, 1), patch=(33, 32, 32))


def test_no_box_leaves_the_batch_as_it_was(engine: Engine) -> None:
    out = engine.xp.zeros((1, 2, 2, 2), np.int16)
    nothing = engine.xp.empty((0, 8), np.int64)
    scatter_device(engine, engine.xp.empty(16, np.uint8), nothing, out, np.array([5], np.int16))
    assert not engine.to_host(out).any()


INTEGERS = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"]


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("other", INTEGERS)
def test_integers_are_converted_and_misfits_are_told(engine: Engine, kind: str, other: str) -> None:
    check_conversion(engine, kind, other)


def check_conversion(engine: Engine, kind: str, other: str) -> None:
    limits, wanted = np.iinfo(kind), np.iinfo(other)
    fitting = sorted({0, 1, 7, max(limits.min, wanted.min), min(limits.max, wanted.max)})
    assert_converted(engine, np.resize(np.array(fitting, kind), 1000), other, misfit=False)
    for value in (limits.min, limits.max):
        voxels = np.zeros(300, kind)
        voxels[299] = value
        assert_converted(engine, voxels, other, misfit=not wanted.min <= value <= wanted.max)


def assert_converted(engine: Engine, voxels: np.ndarray, other: str, *, misfit: bool) -> None:
    out = engine.xp.empty(voxels.shape, np.dtype(other))
    misfits = engine.xp.zeros(1, np.uint64)
    convert_device(engine, engine.xp.asarray(voxels), out, misfits)
    assert bool(engine.to_host(misfits)[0]) == misfit
    if not misfit:
        np.testing.assert_array_equal(engine.to_host(out), voxels)
