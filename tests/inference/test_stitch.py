"""Sliding windows: every voxel is covered, and stitching what was cut gives back what there was."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from gpuprep.inference import GridPatches, stitch, stitch_into
from gpuprep.inference.axis import patch_axis
from gpuprep.store.slabs import SlabWriter
from gpuprep.values.errors import StoreError, UsageError
from gpuprep.values.geometry import Geometry

SPREADS = st.sampled_from(["even", "fixed"])
WEIGHTINGS = st.sampled_from(["gaussian", "constant"])


@st.composite
def windows(draw: st.DrawFn) -> dict:
    return {
        "patch": tuple(draw(st.integers(1, 24)) for _ in range(3)),
        "step": draw(st.floats(0.2, 1.0)),
        "spread": draw(SPREADS),
        "weighting": draw(WEIGHTINGS),
    }


@given(st.integers(1, 300), st.integers(1, 64), st.floats(0.05, 1.0), SPREADS, WEIGHTINGS)
def test_patches_cover_an_axis(length, patch, step, spread, weighting) -> None:
    axis = patch_axis(length, patch, step=step, spread=spread, weighting=weighting)
    apart = np.diff(axis.starts)
    assert (apart > 0).all()
    assert (apart <= max(1, patch * step + 1)).all()  # even steps are rounded to whole voxels
    if patch <= length:
        assert (axis.starts[0], axis.starts[-1]) == (0, length - patch)
    total = np.zeros(length)
    for start, share in zip(axis.starts, axis.shares, strict=True):
        inside, within = axis.overlap(start)
        assert (share[within] > 0).all()
        total[inside] += share[within]
    np.testing.assert_allclose(total, 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("spread", "length", "patch", "step", "starts"),
    [
        ("even", 110, 64, 0.5, (0, 23, 46)),  # the example in nnU-Net's own source
        ("even", 64, 64, 0.5, (0,)),
        ("even", 40, 64, 0.5, (-12,)),
        ("fixed", 110, 64, 0.5, (0, 32, 46)),  # MONAI: start · 32, the last moved back
        ("fixed", 41, 64, 0.5, (-11,)),
    ],
)
def test_where_patches_start(spread, length, patch, step, starts) -> None:
    axis = patch_axis(length, patch, step=step, spread=spread, weighting="constant")
    assert axis.starts == starts


@pytest.mark.parametrize(
    ("length", "patch", "step"), [(300, 64, 0.5), (131, 128, 0.3), (77, 20, 1)]
)
def test_even_starts_are_those_of_nnunet(length, patch, step) -> None:
    nnunet = pytest.importorskip("nnunetv2.inference.sliding_window_prediction")
    (starts,) = nnunet.compute_steps_for_sliding_window((length,), (patch,), step)
    axis = patch_axis(length, patch, step=step, spread="even", weighting="constant")
    assert list(axis.starts) == starts


def test_gaussian_is_a_filtered_impulse() -> None:
    impulse = np.zeros(65)
    impulse[32] = 1
    theirs = gaussian_filter1d(impulse, 65 / 8, mode="constant")
    ours = patch_axis(200, 65, step=1, spread="even", weighting="gaussian")
    first, second = ours.shares[0], ours.shares[1]
    overlap = 65 - ours.starts[1]
    assert overlap > 0
    np.testing.assert_allclose(
        second[:overlap] / first[-overlap:], theirs[:overlap] / theirs[-overlap:], rtol=1e-6
    )
    assert (first[:-overlap] == 1).all()


@settings(max_examples=40)
@given(
    st.tuples(*[st.integers(1, 70)] * 3),
    st.sampled_from([(), (1,), (3,)]),
    windows(),
    st.randoms(use_true_random=False),
)
def test_identity_returns_the_volume(shape, lead, window, random) -> None:
    shape = tuple(min(n, 6 * edge) for n, edge in zip(shape, window["patch"], strict=True))
    volume = np.random.default_rng(1).normal(size=(*lead, *shape)).astype(np.float32)
    patches = GridPatches(volume, **window)
    pieces = [(patch.number, patch.voxels) for patch in patches]
    random.shuffle(pieces)
    whole = stitch(patches, pieces)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, volume, rtol=1e-5, atol=1e-6)


@given(windows())
def test_constants_stay_constant(window) -> None:
    patches = GridPatches(np.zeros((33, 17, 20)), **window | {"step": 0.7})
    ones = ((number, np.full(window["patch"], 7.0)) for number in range(len(patches)))
    np.testing.assert_allclose(stitch(patches, ones), 7, rtol=1e-6)


def test_a_small_volume_is_padded() -> None:
    patches = GridPatches(np.ones((3, 4, 9)), (8, 8, 8), fill=-5)
    first = patches[0]
    assert first.start == (-2, -2, 0)
    assert first.voxels.shape == (8, 8, 8)
    assert np.count_nonzero(first.voxels == 1) == 3 * 4 * 8
    assert set(np.unique(first.voxels)) == {-5, 1}


def test_labels_are_chosen_where_the_mean_is_largest() -> None:
    random = np.random.default_rng(2)
    scores = random.random((4, 40, 30, 20), np.float32)
    patches = GridPatches(scores, (16, 16, 16))
    labels = stitch(patches, ((p.number, p.voxels) for p in patches), result="argmax")
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, scores.argmax(0))


def test_few_slabs_are_in_memory(tmp_path: Path) -> None:
    volume = np.random.default_rng(4).random((640, 64, 64), np.float32)
    patches = GridPatches(volume, (64, 64, 64))
    peaks = []

    def predictions() -> Iterator[tuple[int, np.ndarray]]:
        for patch in patches:
            yield patch.number, patch.voxels
            peaks.append(tracemalloc.get_traced_memory()[1])

    tracemalloc.start()
    try:
        stored = stitch_into(tmp_path / "p", patches, predictions())
    finally:
        tracemalloc.stop()
    assert max(peaks) < volume.nbytes / 2
    np.testing.assert_allclose(np.asarray(stored), volume, atol=5e-4)


@pytest.mark.parametrize("lead", [(), (2,)])
def test_a_stitched_array_is_plain_zarr(tmp_path: Path, lead: tuple[int, ...]) -> None:
    geometry = Geometry((70, 40, 33), (0.8, 0.9, 2.5), (-10.0, 3.0, 55.0))
    volume = np.random.default_rng(3).random((*lead, *geometry.shape), np.float32)
    patches = GridPatches(volume, (24, 32, 32))
    stored = stitch_into(
        tmp_path / "p", patches, ((p.number, p.voxels) for p in patches), geometry=geometry
    )
    theirs = zarr.open_array(tmp_path / "p", mode="r")
    assert theirs.dtype == np.float16
    np.testing.assert_allclose(theirs[...], volume, atol=5e-4)
    np.testing.assert_array_equal(theirs[...], np.asarray(stored))
    assert theirs.attrs["gpuprep"]["geometry"] == json.loads(json.dumps(geometry.to_json()))
    assert [entry.name for entry in tmp_path.iterdir()] == ["p"]
    with pytest.raises(UsageError, match="exists already"):
        stitch_into(tmp_path / "p", patches, ())


@pytest.mark.parametrize(
    ("numbers", "shape", "told"),
    [
        ([0, 1, 2], (8, 8, 8), "1 of 4 patches have no prediction, the first is 3"),
        ([0, 0], (8, 8, 8), "came twice"),
        ([4], (8, 8, 8), "not among 4"),
        ([0], (8, 8, 7), r"\(8, 8, 7\)"),
        ([0], (2, 2, 8, 8, 8), "expected"),
        ([], (8, 8, 8), "4 of 4"),
    ],
)
def test_wrong_predictions_are_refused(tmp_path: Path, numbers, shape, told) -> None:
    patches = GridPatches(np.zeros((16, 16, 8)), (8, 8, 8), step=1)
    with pytest.raises(UsageError, match=told):
        stitch_into(tmp_path / "p", patches, ((n, np.zeros(shape)) for n in numbers))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.nan, -1e300])
def test_predictions_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    zeros = np.zeros((16, 16, 8))
    plain = GridPatches(zeros, (8, 8, 8), step=1)
    (tmp_path / "volume-0.zarr").mkdir()
    stored = stitch_into(
        tmp_path / "volume-0.zarr/0", plain, ((n, zeros[:8, :8]) for n in range(4))
    )
    pairs = [(number, np.zeros((2, 8, 8, 8))) for number in range(4)]
    pairs[2][1][1, 3, 4, 5:7] = value, np.inf
    told = "NaN, 1 infinite" if np.isnan(value) else "0 NaN, 2 infinite"
    for array, whose in ((stored, "case volume-0, "), (zeros, "")):
        patches = GridPatches(array, (8, 8, 8), step=1)
        for result in ("mean", "argmax"):
            with pytest.raises(UsageError, match=told) as caught:
                stitch(patches, pairs, result=result)
            assert f"patch 2 ({whose}from voxel (8, 0, 0) on)" in str(caught.value)
            assert "2 of 1,024 values" in str(caught.value)
    with pytest.raises(UsageError, match="not finite"):
        stitch_into(tmp_path / "p", plain, pairs)
    assert [entry.name for entry in tmp_path.iterdir()] == ["volume-0.zarr"]


def test_what_lies_beyond_a_small_array_may_be_anything() -> None:
    patches = GridPatches(np.zeros((4, 8, 8)), (8, 8, 8))
    prediction = np.full((8, 8, 8), np.nan)
    prediction[2:6] = 5
    assert patches.start(0) == (-2, 0, 0)
    np.testing.assert_array_equal(stitch(patches, [(0, prediction)]), np.full((4, 8, 8), 5))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("f2", -65504, 65504), ("i2", -32768, 32767), ("u1", 0, 255), ("f4", -3e38, 3e38)],
)
def test_means_beyond_the_dtype_are_refused(dtype: str, low: float, high: float) -> None:
    patches = GridPatches(np.zeros((8, 8, 8)), (8, 8, 8))
    for value in (low, high):
        prediction = np.full((8, 8, 8), value, np.float32)
        assert (
            stitch(patches, [(0, prediction)], dtype=dtype) == np.dtype(dtype).type(value)
        ).all()
    if dtype != "f4":
        for value in (1.01 * low - 1, 1.01 * high):
            prediction = np.full((8, 8, 8), value, np.float32)
            with pytest.raises(UsageError, match="ends at"):
                stitch(patches, [(0, prediction)], dtype=dtype)


def test_channels_must_agree_and_labels_need_them() -> None:
    patches = GridPatches(np.zeros((16, 8, 8)), (8, 8, 8), step=1)
    with pytest.raises(UsageError, match="2 channels"):
        stitch(patches, [(0, np.zeros((2, 8, 8, 8))), (1, np.zeros((3, 8, 8, 8)))])
    with pytest.raises(UsageError, match="among channels"):
        stitch(patches, ((n, np.zeros((8, 8, 8))) for n in range(2)), result="argmax")


@pytest.mark.parametrize(
    ("shape", "patch", "step"),
    [((8, 8), (4, 4, 4), 0.5), ((8, 8, 8), (4, 4), 0.5), ((8, 8, 8), (4, 0, 4), 0.5)]
    + [((8, 8, 8), (4, 4, 4), step) for step in (0, -1, 1.5)],
)
def test_impossible_grids_are_refused(shape, patch, step) -> None:
    with pytest.raises(UsageError):
        GridPatches(np.zeros(shape), patch, step=step)


def test_patches_are_a_sequence() -> None:
    patches = GridPatches(np.arange(8 * 8 * 8).reshape(8, 8, 8), (4, 4, 4), step=1)
    assert [patch.number for patch in patches] == list(range(8))
    assert patches[7].start == (4, 4, 4)
    with pytest.raises(IndexError):
        patches[8]


def test_an_unfinished_array_does_not_appear(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="1 of 2 slabs"),
        SlabWriter(tmp_path / "a", depth=50, edge=32) as writer,
    ):
        writer.write(0, np.ones((32, 9, 9), np.uint8))
    with (
        pytest.raises(StoreError, match="expected"),
        SlabWriter(tmp_path / "a", depth=50, edge=32) as writer,
    ):
        writer.write(32, np.ones((32, 9, 9), np.uint8))
    assert not list(tmp_path.iterdir())
