"""Three-dimensional CLAHE against scikit-image, and what holds whatever the volume."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprep.ops.clahe import clahe

GOLDEN = Path(__file__).parents[1] / "goldens" / "skimage_clahe.npz"
TOLERANCE = 1.5e-4  # scikit-image cuts results to 16384 levels before it stretches them


@pytest.mark.parametrize("name", ["even", "odd", "few", "free"])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64])
def test_clahe_is_that_of_scikit_image(name: str, dtype: type) -> None:
    with np.load(GOLDEN) as golden:
        volume, expected = golden[f"{name}_in"], golden[f"{name}_out"]
        *tile, limit, bins = golden[f"{name}_rule"]
    ends = float(volume.min()), float(volume.max())
    z, y, x = (int(step) for step in tile)
    found = clahe(volume.astype(dtype), (z, y, x), ends, clip_limit=limit, bins=int(bins))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.integers(1, 12)] * 3),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.integers(0, 2**31),
    st.integers(2, 3),
)
def test_threads_and_layout_do_not_matter_and_results_fill_0_to_1(
    shape: tuple[int, int, int], tile: tuple[int, int, int], seed: int, threads: int
) -> None:
    volume = np.random.default_rng(seed).integers(-300, 300, shape).astype(np.int16)
    one = clahe(volume, tile, (-300.0, 299.0))
    np.testing.assert_array_equal(one, clahe(volume, tile, (-300.0, 299.0), threads=threads))
    turned = np.asfortranarray(volume)[::-1][::-1]
    np.testing.assert_array_equal(one, clahe(turned, tile, (-300.0, 299.0)))
    assert one.min() == 0
    assert one.max() == pytest.approx(1, abs=1e-6) or np.ptp(one) == 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.bool_])
def test_short_integers_are_what_floats_are(dtype: type) -> None:
    every = np.random.default_rng(0).integers(0, 2, (8, 9, 10)).astype(dtype)
    if dtype is not np.bool_:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        every = np.random.default_rng(0).integers(low, high, (8, 9, 10), endpoint=True, dtype=dtype)
    ends = float(every.min()) + 0.25, float(every.max())
    np.testing.assert_array_equal(
        clahe(every, (4, 4, 4), ends), clahe(every.astype(np.float64), (4, 4, 4), ends)
    )


def test_what_is_no_number_counts_as_an_end() -> None:
    volume = np.random.default_rng(0).random((6, 7, 8))
    marked, plain = volume.copy(), volume.copy()
    marked[0, 0, :3] = np.nan, -np.inf, np.inf
    plain[0, 0, :3] = 0, 0, 1
    np.testing.assert_array_equal(
        clahe(marked, (3, 3, 3), (0.0, 1.0)), clahe(plain, (3, 3, 3), (0.0, 1.0))
    )


@pytest.mark.parametrize(
    ("tile", "ends", "bins"),
    [((0, 1, 1), (0.0, 1.0), 256), ((1, 1, 1), (1.0, 1.0), 256), ((1, 1, 1), (0.0, 1.0), 257)],
)
def test_what_gives_no_histogram_is_refused(
    tile: tuple[int, int, int], ends: tuple[float, float], bins: int
) -> None:
    with pytest.raises(ValueError, match="give no histograms"):
        clahe(np.zeros((2, 2, 2)), tile, ends, bins=bins)
