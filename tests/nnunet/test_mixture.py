"""Statistics put together from counts: NumPy's of the samples themselves, whatever order they come in."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.nnunet.mixture import CountedChannel, mixture_statistics, sample_statistics
from gpuprep.ops import value_counts
from gpuprep.ops.value_counts import ValueCounts, count_values, draw_as_nnunet

SHARES = {"percentile_00_5": 0.5, "median": 50, "percentile_99_5": 99.5}
floats = st.floats(-1e6, 1e6, width=32)
foregrounds = st.one_of(
    st.lists(st.integers(-1100, 3000), min_size=1, max_size=12).map(np.int16),
    st.lists(floats, min_size=1, max_size=12).map(np.float32),
)
cohorts = st.lists(foregrounds, min_size=1, max_size=5)


def counted(voxels: np.ndarray) -> CountedChannel:
    held = count_values(np.asarray(voxels))
    ends = (float(held.values[0]), float(held.values[-1]))
    return CountedChannel(held.count, ends, *held.moments(), held)


@given(foregrounds)
def test_counts_are_those_of_the_voxels(voxels: np.ndarray) -> None:
    found = count_values(voxels)
    values, counts = np.unique(voxels.astype(np.float32), return_counts=True)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.totals, np.cumsum(counts))
    assert found.values.dtype == np.float32
    mean, variance = found.moments()
    assert mean == pytest.approx(np.mean(voxels, dtype=np.float64), rel=1e-12, abs=1e-9)
    assert variance == pytest.approx(np.var(voxels, dtype=np.float64), rel=1e-9, abs=1e-9)


@given(cohorts)
def test_a_mixture_has_the_percentiles_of_samples_repeated_to_one_length(
    cohort: list[np.ndarray],
) -> None:
    length = math.lcm(*map(len, cohort))
    pool = np.concatenate(
        [np.repeat(each.astype(np.float32), length // len(each)) for each in cohort]
    )
    found = mixture_statistics([counted(each) for each in cohort])
    for name, share in SHARES.items():
        wanted = np.percentile(pool.astype(np.float64), share, method="inverted_cdf")
        assert found[name] == wanted, name
    assert (found["min"], found["max"]) == (pool.min(), pool.max())
    assert found["mean"] == pytest.approx(pool.mean(dtype=np.float64), rel=1e-9, abs=1e-6)
    assert found["std"] == pytest.approx(pool.std(dtype=np.float64), rel=1e-9, abs=1e-6)


def test_a_share_that_is_just_reached_is_reached() -> None:
    """Of ten values the fifth has half of the weight: in float64 the sum of ten tenths is not one."""
    cases = [counted(np.arange(10, dtype=np.int16)) for _ in range(3)]
    assert mixture_statistics(cases)["median"] == 4


@given(cohorts, st.booleans())
def test_a_sample_has_numpys_percentiles_to_the_last_bit(
    cohort: list[np.ndarray], wide: bool
) -> None:
    pool = np.concatenate([each.astype(np.float32) for each in cohort])
    pool = pool.astype(np.float64) if wide else pool
    found = sample_statistics([counted(each) for each in cohort], wide=wide)
    wanted = np.percentile(pool, list(SHARES.values()))
    assert [found[name] for name in SHARES] == wanted.tolist()
    assert found["mean"] == pytest.approx(pool.mean(dtype=np.float64), rel=1e-9, abs=1e-6)
    assert found["std"] == pytest.approx(pool.std(dtype=np.float64), rel=1e-9, abs=1e-6)


@given(cohorts.flatmap(lambda cohort: st.tuples(st.just(cohort), st.permutations(cohort))))
def test_no_order_of_cases_changes_a_bit(pair: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
    one, other = ([counted(each) for each in cohort] for cohort in pair)
    assert mixture_statistics(one) == mixture_statistics(other)
    assert sample_statistics(one, wide=False) == sample_statistics(other, wide=False)


def test_what_lies_in_files_is_what_lies_in_memory(tmp_path: Path) -> None:
    cohort = [np.random.default_rng(n).normal(n, 9, 400).astype(np.float32) for n in range(3)]
    held = [counted(each) for each in cohort]
    for number, each in enumerate(held):
        assert isinstance(each.held, ValueCounts)
        (tmp_path / str(number)).mkdir()
        np.save(tmp_path / str(number) / "values.npy", each.held.values)
        np.save(tmp_path / str(number) / "totals.npy", each.held.totals)
    stored = [
        CountedChannel(each.count, each.ends, each.mean, each.variance, tmp_path / str(number))
        for number, each in enumerate(held)
    ]
    assert mixture_statistics(stored) == mixture_statistics(held)


@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 4097])
@pytest.mark.parametrize("step", [1 << 22, 97])
def test_the_draws_are_nnunets(length: int, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_counts, "_TOGETHER", step)
    random = np.random.default_rng(length)
    channels = [
        random.integers(-900, 900, length).astype(np.int16),
        random.normal(0, 9, length).astype(np.float32),
        np.zeros(0, np.float32),
    ]
    state = np.random.RandomState(1234)
    for voxels, found in zip(channels, draw_as_nnunet(channels, 5000), strict=True):
        if not len(voxels):
            assert found.count == 0
            continue
        values, counts = np.unique(
            state.choice(voxels.astype(np.float32), 5000), return_counts=True
        )
        np.testing.assert_array_equal(found.values, values)
        np.testing.assert_array_equal(np.diff(found.totals, prepend=0), counts)
