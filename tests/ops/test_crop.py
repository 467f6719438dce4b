"""Boxes against the plain definition by coordinates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.crop import find_box, grow
from gpuprep.ops.mask import find_mask


def plain_box(hits: np.ndarray) -> tuple[slice, ...] | None:
    if not hits.any():
        return None
    return tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(hits))


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    voxels=st.lists(st.tuples(*[st.integers(0, 8)] * 3, st.sampled_from([-2, 1, 3])), max_size=5),
    axes=st.permutations([0, 1, 2]),
)
def test_boxes_are_tight(shape, voxels, axes) -> None:
    array = np.zeros(shape, np.int16)
    for z, y, x, value in voxels:
        array[z % shape[0], y % shape[1], x % shape[2]] = value
    view = array.transpose(axes)[:, ::-1]
    assert find_box([view]) == plain_box(view != 0)
    assert find_box([view], 0) == plain_box(view > 0)


VALUES = [0, -0.0, 1e-40, 2, -3, np.nan, np.inf, -np.inf]


@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    channels=st.integers(1, 3),
    kind=st.sampled_from(["f2", "f4", "f8"]),
    axes=st.permutations([0, 1, 2]),
    seed=st.integers(0, 2**32 - 1),
    sparse=st.floats(0, 0.99),
)
def test_what_is_not_finite_is_outside(shape, channels, kind, axes, seed, sparse) -> None:
    random = np.random.default_rng(seed)
    volumes = random.choice(VALUES, (channels, *shape))
    volumes[:, random.random(shape) < sparse] = 0
    views = [volume.astype(kind).transpose(axes)[::-1] for volume in volumes]
    inside = np.any([np.isfinite(view) & (view != 0) for view in views], axis=0)
    np.testing.assert_array_equal(find_mask(views), inside)
    assert find_box(views) == plain_box(inside)
    above = np.any([np.isfinite(view) & (view > -1) for view in views], axis=0)
    np.testing.assert_array_equal(find_mask(views, -1), above)
    assert find_box(views, -1) == find_box(views, -1, 1e-9) == plain_box(above)


def test_channels_are_joined() -> None:
    first, second = np.zeros((2, 6, 7, 8), np.float32)
    first[1, 2, 3] = 1e-6
    second[4, 5, 6] = -3
    assert find_box([first, second]) == (slice(1, 5), slice(2, 6), slice(3, 7))
    assert find_box([first * 0, second]) == (slice(4, 5), slice(5, 6), slice(6, 7))


@pytest.mark.parametrize("hole", [0, 5])
def test_holes_change_nothing(hole: int) -> None:
    array = np.zeros((12, 12, 12), np.int16)
    array[2:10, 3:11, 1:9] = 1
    array[5:7, 5:7, 5:7] = hole
    assert find_box([array]) == (slice(2, 10), slice(3, 11), slice(1, 9))


def test_a_body_box_ignores_stray_voxels() -> None:
    rng = np.random.default_rng(0)
    array = np.full((40, 60, 70), -1000, np.int16)
    array[4:36, 10:40, 12:60] = 40
    stray = rng.integers(0, (40, 60, 70), (12, 3))
    array[tuple(stray.T)] = 900
    body = (slice(4, 36), slice(10, 40), slice(12, 60))
    assert find_box([array], -300, 0.02) == body
    assert find_box([array.transpose(2, 0, 1)], -300, 0.02) == (body[2], body[0], body[1])
    assert find_box([array], -300, 0.0) == plain_box(array > -300)


def test_an_empty_volume_has_no_box() -> None:
    array = np.full((3, 4, 5), -1000.0)
    assert find_box([array], -300, 0.02) is None
    assert find_box([array], 0) is None
    assert find_box([array * 0]) is None


def test_growing_stays_inside() -> None:
    box = (slice(2, 5), slice(0, 3), slice(6, 9))
    assert grow(box, 2, (6, 9, 10)) == (slice(0, 6), slice(0, 5), slice(4, 10))
    assert grow(box, (0, 1, 100), (6, 9, 10)) == (slice(2, 5), slice(0, 4), slice(0, 10))
    assert grow(box, 0, (6, 9, 10)) == box
