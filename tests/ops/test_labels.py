"""Label maps against one indicator per label and argmax, made the long way."""

import numpy as np
import pytest
import scipy.ndimage as ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprep.ops.label_maps import labelled, merge_structures, place_labels
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import GridMapping, map_shape


def nearest_indices(n: int, m: int, scale: float, offset: float) -> np.ndarray:
    c = np.round((np.arange(m) * scale + offset) * 2**32) / 2**32
    return np.clip(np.floor(c + 0.5), 0, n - 1).astype(int)


def nearest_oracle(array: np.ndarray, mapping: GridMapping) -> np.ndarray:
    axes = zip(array.shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    return array[np.ix_(*[nearest_indices(*axis) for axis in axes])]


def linear_oracle(array: np.ndarray, mapping: GridMapping) -> np.ndarray:
    """batchgenerators >= 0.25.4: argmax of indicators; ties to the nearest label, else the lowest."""
    labels = np.unique(array)
    scores = np.stack([
        ndimage.affine_transform(
            (array == label).astype(np.float64), mapping.scale, mapping.offset, mapping.shape,
            order=1, mode="nearest",
        )
        for label in labels
    ])  # fmt: skip
    tied = scores >= scores.max(0) - 1e-9
    nearest = nearest_oracle(array, mapping)
    among = (tied & (labels[:, None, None, None] == nearest)).any(0)
    return np.where(among, nearest, labels[tied.argmax(0)])


def blobs(shape: tuple[int, int, int], count: int = 8) -> np.ndarray:
    """Overlapping balls of a few labels, as organs are."""
    rng = np.random.default_rng(0)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    array = np.zeros(shape, np.int16)
    for label in range(1, count):
        centre, radius = rng.uniform(0.2, 0.8, 3) * shape, rng.uniform(3, 9)
        array[((index - centre) ** 2).sum(-1) < radius**2] = label
    return array


@given(
    shape=st.tuples(*[st.integers(1, 10)] * 3),
    out=st.tuples(*[st.integers(1, 17)] * 3),
    labels=st.sampled_from([1, 2, 3, 5, 140]),
    kind=st.sampled_from(["i1", "i2", "i4", "i8", ">i2"]),
    axes=st.permutations([0, 1, 2]),
    seed=st.integers(0, 999),
    threads=st.sampled_from([1, 2]),
)
@settings(max_examples=120, deadline=None)
def test_any_map_equals_the_long_way(shape, out, labels, kind, axes, seed, threads) -> None:
    low = -1 if labels < 100 else -20
    base = np.random.default_rng(seed).integers(low, low + labels, shape).astype(kind)
    array = base.transpose(axes)[::-1]
    mapping = map_shape(Geometry(array.shape), out)
    result = resample_labels(array, Resampling(mapping), threads=threads)
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, linear_oracle(array, mapping))
    nearest = resample_labels(array, Resampling(mapping, "nearest"), threads=threads)
    assert nearest.dtype == array.dtype
    np.testing.assert_array_equal(nearest, nearest_oracle(array, mapping))


@pytest.mark.parametrize("factor", [2, 0.5, 4, 0.25])
def test_exact_ties_follow_the_rule(factor: float) -> None:
    array = np.random.default_rng(1).integers(-1, 4, (12, 16, 20)).astype(np.int8)
    mapping = map_shape(Geometry(array.shape), tuple(int(n * factor) for n in array.shape))
    result = resample_labels(array, Resampling(mapping))
    np.testing.assert_array_equal(result, linear_oracle(array, mapping))


def test_a_tie_that_the_nearest_label_lost_goes_to_the_lowest() -> None:
    array = np.array([3, 1, 1, 1, 2, 2, 2, 3], np.uint8).reshape(2, 2, 2)
    mapping = map_shape(Geometry((2, 2, 2)), (1, 1, 1))
    assert nearest_oracle(array, mapping).item() == 3
    assert resample_labels(array, Resampling(mapping)).item() == 1


@pytest.mark.parametrize("shape", [(40, 70, 75), (25, 90, 61)])
def test_organs_on_real_grids(shape: tuple[int, int, int]) -> None:
    array = blobs(shape)
    for scale, offset in (((0.63, 1.27, 0.9), (0.2, -0.1, 0.0)), ((2.0, 2.0, 2.0), (0.5, 0.5, 0.5)),
                          ((1.0, 0.5, 0.77), (0.0, -0.25, 0.3))):  # fmt: skip
        out = tuple(int(n / k) for n, k in zip(shape, scale, strict=True))
        mapping = GridMapping(out, scale, offset)
        for view in (array, np.asfortranarray(array), array[:, ::-1]):
            result = resample_labels(view, Resampling(mapping), threads=2)
            np.testing.assert_array_equal(result, linear_oracle(view, mapping))
            assert set(np.unique(result)) <= set(np.unique(array))


def test_empty_maps_and_other_backgrounds() -> None:
    mapping = map_shape(Geometry((6, 7, 8)), (9, 5, 11))
    for value in (0, -1, 7):
        array = np.full((6, 7, 8), value, np.int16)
        assert (resample_labels(array, Resampling(mapping)) == value).all()
    array = np.full((6, 7, 8), -1, np.int16)
    array[2:4, 3, 1:7] = 0
    np.testing.assert_array_equal(
        resample_labels(array, Resampling(mapping)), linear_oracle(array, mapping)
    )


def test_a_coinciding_grid_keeps_the_map() -> None:
    array = blobs((20, 21, 22))
    for interpolation in ("nearest", "linear"):
        result = resample_labels(array, Resampling(GridMapping(array.shape), interpolation))
        np.testing.assert_array_equal(result, array)


def test_placing_fills_beyond_the_extent() -> None:
    array = np.arange(1, 28, dtype=np.uint8).reshape(3, 3, 3)
    placed = place_labels(array, GridMapping((5, 5, 5), offset=(-1.0, -1.0, -1.0)))
    assert (placed[1:4, 1:4, 1:4] == array).all()
    assert (placed == 0).sum() == 125 - 27
    line = array[:1, :1]  # 1 2 3; the extent is [-0.5, 2.5)
    edges = place_labels(line, GridMapping((1, 1, 4), offset=(0.0, 0.0, -0.5)))
    assert edges.ravel().tolist() == [1, 2, 3, 0]
    assert not place_labels(array, GridMapping((2, 2, 2), offset=(50.0, 0.0, 0.0))).any()


def test_merging_structures() -> None:
    first, second, third = np.zeros((3, 4, 5, 6), np.uint8)
    first[1:3, 1:4] = 255
    second[2:, 2:, 2:] = 1
    third[2, 3, 3:] = 1
    merged, lost = merge_structures([first, second, third], [1, 2, 3])
    expected = np.where(third > 0, 3, np.where(second > 0, 2, np.where(first > 0, 1, 0)))
    np.testing.assert_array_equal(merged, expected)
    assert merged.dtype == np.uint8
    covered = [(first > 0) & (second > 0)], [(first > 0) & (second == 0), second > 0]
    assert lost == {
        1: covered[0][0].sum() + (covered[1][0] & (third > 0)).sum(),
        2: (covered[1][1] & (third > 0)).sum(),
    }
    backwards, _ = merge_structures([third, second, first], [3, 2, 1])
    np.testing.assert_array_equal(backwards, expected)


def test_many_structures_need_16_bits() -> None:
    masks = np.eye(300, dtype=bool).reshape(300, 3, 10, 10)
    merged, lost = merge_structures(list(masks), range(1, 301))
    assert merged.dtype == np.int16
    assert not lost
    assert merged.ravel().tolist() == list(range(1, 301))


def test_refusals() -> None:
    with pytest.raises(TypeError, match="labels are integers"):
        resample_labels(np.zeros((2, 2, 2)), Resampling(GridMapping((2, 2, 2)), "nearest"))
    mapping = GridMapping((7, 3, 3), (1.3, 1.3, 1.3))
    for wrong in (Resampling(mapping, "cubic"), Resampling(mapping, antialias=True)):
        with pytest.raises(ValueError, match="by nearest or linear"):
            resample_labels(np.zeros((9, 9, 9), np.uint8), wrong)
    with pytest.raises(ValueError, match="no masks"):
        merge_structures([], [])
    with pytest.raises(ValueError, match="a mask has shape"):
        merge_structures([np.zeros((2, 2, 2)), np.zeros((2, 2, 3))], [1, 2])


@given(
    values=st.lists(st.sampled_from([0, 0, 0, 1, 2, -1, -128, 127]), min_size=1, max_size=40),
    kind=st.sampled_from(["i1", "i2", "i4", "i8"]),
)
def test_voxels_per_label_are_numpys(values, kind) -> None:
    array = np.array(values, kind).reshape(1, 1, -1)[..., ::-1]
    found, counts = np.unique(array[array != 0], return_counts=True)
    assert labelled(array) == dict(zip(found.tolist(), counts.tolist(), strict=True))


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_structures_are_painted_one_after_another(seed, number) -> None:
    random = np.random.default_rng(seed)
    masks = (random.random((number, 3, 4, 5)) < 0.3).astype(np.uint8)
    expected, lost = np.zeros((3, 4, 5), int), dict.fromkeys(range(1, number + 1), 0)
    for value, mask in enumerate(masks, 1):
        for place in zip(*np.nonzero(mask), strict=True):
            if expected[place]:
                lost[int(expected[place])] += 1
            expected[place] = value
    merged, told = merge_structures(list(masks), range(1, number + 1))
    np.testing.assert_array_equal(merged, expected)
    assert told == {value: count for value, count in lost.items() if count}
